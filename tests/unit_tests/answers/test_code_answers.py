from hypothesis import given
from hypothesis import strategies as st

from langchain_selectllm.answers import gold_answer
from langchain_selectllm.answers.code import CodeExtractor
from langchain_selectllm.answers.python_form import python_form

READ = CodeExtractor().extract

ADD = '''Here it is:

```python
def add(a, b):
    """Add two numbers."""
    total = a + b  # the sum
    return total
```

You can try it:

```python
add(1, 2)
```
'''
SAME_ADD = "```py\ndef add(a: int, b: int) -> int:\n  result=a+b\n\n  return result\n```"
OTHER_ADD = "```python\ndef add(a, b):\n    return b + a\n```"


def test_layout_comments_docstrings_annotations_and_local_names_do_not_matter():
    assert READ(ADD) == READ(SAME_ADD) == "def add(a, b):\n    v0 = a + b\n    return v0"


def test_another_program_is_another_answer():
    assert READ(OTHER_ADD) != READ(ADD)
    assert READ("```python\nf(x=1)\n```") != READ("```python\nf(y=1)\n```")


def test_parameters_keep_their_names_because_callers_may_use_them():
    assert python_form("def f(x):\n    return x") != python_form("def f(y):\n    return y")


def test_names_of_other_scopes_stay():
    form = python_form(
        "def f():\n    global n\n    n = 1\n    import os\n    def g(k):\n        nonlocal_k = k\n        return nonlocal_k\n    return g"
    )
    assert form is not None
    assert "global n\n    n = 1" in form
    assert "def g(k):\n        v0 = k\n        return v0" in form


def test_a_function_that_can_see_its_own_names_keeps_them():
    assert (
        python_form("def f():\n    x = 1\n    return locals()") == "def f():\n    x = 1\n    return locals()"
    )


def test_a_number_never_collides_with_a_name_that_stays():
    assert python_form("def f(v0):\n    x = v0\n    return x") == "def f(v0):\n    _v0 = v0\n    return _v0"


def test_loops_comprehensions_and_handlers_are_numbered_in_order_of_appearance():
    one = python_form(
        "def f(xs):\n    for x in xs:\n        try:\n            y = [z for z in x]\n        except E as e:\n            raise R from e"
    )
    two = python_form(
        "def f(xs):\n    for i in xs:\n        try:\n            k = [j for j in i]\n        except E as err:\n            raise R from err"
    )
    assert one == two


def test_annotated_fields_of_a_class_stay():
    assert python_form("class A:\n    x: int\n    y: int = 1") == "class A:\n    x: int\n    y = 1"


def test_python_that_does_not_parse_abstains():
    assert READ("```python\ndef f(:\n```") is None


def test_other_languages_are_compared_up_to_white_space():
    assert (
        READ("```c\nint  main() {\n  return 0;\n}\n```")
        == READ("~~~c\nint main() { return 0; }\n~~~")
        == "int main() { return 0; }"
    )


def test_white_space_within_a_quoted_string_is_part_of_the_answer():
    assert READ("```\n'a  b'\n```") == "'a  b'" == CodeExtractor().canonical('"a  b"')
    assert READ("```\n'a  b'\n```") != READ("```\n'a b'\n```")
    assert READ("```sql\nSELECT  'a  b'\n  FROM t\n```") == "SELECT 'a  b' FROM t"
    assert CodeExtractor().canonical('SELECT  "a \\" b"  FROM t') == 'SELECT "a \\" b" FROM t'


def test_a_module_docstring_in_front_of_code_does_not_matter():
    assert python_form('"""Adds."""\nx = 1') == "x = 1"


def test_a_fence_without_a_language_is_python_where_it_parses():
    assert READ("```\nx  =  1\n```") == "x = 1"
    assert READ("```\nSELECT  *\nFROM t\n```") == "SELECT * FROM t"


def test_a_fence_that_never_closes_is_read_to_the_end():
    assert READ("```python\nx = 1\n") == "x = 1"


def test_prose_is_no_code_but_a_bare_program_is():
    assert READ("No idea") is None
    assert READ("maybe") is None
    assert READ("") is None
    assert READ("print(1)") == "print(1)"


def test_a_reference_is_bare_code():
    assert READ(ADD) == gold_answer("def add(a, b):\n    s = a + b\n    return s", CodeExtractor())
    assert CodeExtractor().canonical("SELECT  1") == "SELECT 1"
    assert CodeExtractor().canonical(ADD) == READ(ADD)
    assert CodeExtractor().canonical("  ") is None


def test_warnings_about_the_code_of_a_member_stay_silent():
    assert READ('```python\nx = "\\d"\n```') is not None


@given(st.text(max_size=60))
def test_any_reply_is_read_or_abstains(reply):
    assert READ(reply) is None or isinstance(READ(reply), str)
    assert READ(f"```python\n{reply}\n```") is None or isinstance(READ(f"```python\n{reply}\n```"), str)


@given(st.text(alphabet="abx01 =+\n():def,", max_size=40))
def test_the_normal_form_is_its_own_normal_form(code):
    form = python_form(code)
    assert form is None or python_form(form) == form
