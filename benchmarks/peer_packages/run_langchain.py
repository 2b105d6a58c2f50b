"""LangChain alone: RunnableParallel calls every member, Counter takes the most frequent answer."""

from collections import Counter

from exchange import Choice, Choose, Exchange, Run


def train(exchange: Exchange, run: Run) -> Choose:
    """Every member as a chat model that replays its recorded answer; the first of the most frequent answers wins."""
    chat_models, messages, runnables = run.imported(
        "langchain_core.language_models.chat_models", "langchain_core.messages", "langchain_core.runnables"
    )
    outputs = run.imported("langchain_core.outputs")[0]

    class Replay(chat_models.BaseChatModel):
        replies: dict[str, str]

        @property
        def _llm_type(self) -> str:
            return "replay"

        def _generate(self, prompt: list, stop: object = None, run_manager: object = None, **kwargs: object):  # noqa: ANN202, ARG002
            message = messages.AIMessage(self.replies[prompt[-1].text])
            return outputs.ChatResult(generations=[outputs.ChatGeneration(message=message)])

    texts = [query["text"] for query in exchange.test]
    answers = [recorded["answers"] for recorded in exchange.replies("test")]
    branches = {}
    for k, name in enumerate(exchange.members):
        own = {text: row[k] or "" for text, row in zip(texts, answers, strict=True)}
        branches[name] = Replay(replies=own)
    everybody = runnables.RunnableParallel(branches)

    def choose(text: str) -> Choice:
        replies = {name: message.text for name, message in everybody.invoke(text).items()}
        counted = Counter(answer for answer in replies.values() if answer)
        best = counted.most_common(1)[0][0] if counted else ""
        winner = next(name for name, answer in replies.items() if answer == best)
        return Choice(calls=list(replies), winner=winner)

    return choose


def main() -> None:
    run = Run()
    run.imported("langchain_core.runnables", "langchain_core.language_models.chat_models")
    for system in run.given.systems:
        run.measure(system, lambda: train(run.exchange, run))
    run.finish()


if __name__ == "__main__":
    main()
