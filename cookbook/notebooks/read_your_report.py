# %% [markdown]
# # Read your own report
#
# `evaluate` returns a report; its page answers five questions. Here are the numbers behind them.

# %%
import tempfile
from pathlib import Path

from langchain_selectllm import OutcomeTable, SelectLLMClassifier, evaluate, write_demo_outcomes

folder = Path(tempfile.mkdtemp())
write_demo_outcomes(folder / "outcomes", n_queries=500)
train, test = OutcomeTable.from_folders(folder / "outcomes").split(0.4, seed=0)
report = evaluate(SelectLLMClassifier(seed=0).fit(train), test, policies=["selectllm", "fixed_best"], rows=50)
figures = report.to_dict()["figures"]

# %% [markdown]
# ## What does routing gain?

# %%
print(report.verdict)
print("recommended:", figures["recommended"]["system"], "of the frontier", figures["frontier"]["cost_usd"])

# %% [markdown]
# ## Which members are needed?

# %%
for one in figures["members"]["leave_one_out"]:
    low, high = one["ci95"]
    print(
        f"without {one['without'][0]:12} {100 * one['difference']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    )

# %% [markdown]
# ## Where does it fail?
#
# The causes sum to all errors; all but the first are the gap to the oracle.

# %%
errors = figures["errors"]
causes = ("nobody_right", "not_called", "outvoted", "unreadable", "vote_beats_members")
for cause in causes:
    print(f"{cause:20} {errors[cause]:.3f}")
assert abs(sum(errors[cause] for cause in causes) - errors["total"]) < 1e-9
assert abs(sum(errors[cause] for cause in causes[1:]) - errors["oracle_gap"]) < 1e-9
for row in figures["rows"][:3]:
    print(row["cause"], "|", row["text"], "|", row["answer"], "instead of", row["reference"])

# %% [markdown]
# ## Can its confidence be trusted?

# %%
confidence = figures["confidence"]
print(f"calibration error {confidence['ece']:.3f}, by chance {confidence['ece_by_chance']:.3f}")

# %% [markdown]
# ## The page

# %%
report.save_html(folder / "report.html")
size = (folder / "report.html").stat().st_size
print(f"{size / 2**20:.1f} MiB in one file")
assert size < 1.5 * 2**20
