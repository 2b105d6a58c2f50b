"""Tools of an MCP server, made LangChain tools by the adapters, in agents over the router and over its chat model."""

import pytest
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session

from tests.support.agents import QUESTION, make_model


def server(received):
    """An MCP server within this process."""
    served = FastMCP("numbers")

    @served.tool()
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        received.append((a, b))
        return f"{a + b}"

    @served.tool()
    def greet(name: str) -> str:
        """Greet somebody."""
        return f"Hello {name}"

    return served


@pytest.mark.parametrize("facade", ["router", "chat"])
async def test_an_agent_calls_the_mcp_tool_that_the_members_vote_for(fitted, facade):
    received = []
    async with create_connected_server_and_client_session(server(received)) as session:
        tools = await load_mcp_tools(session)
        agent = create_agent(make_model(fitted, facade), tools)
        messages = (await agent.ainvoke(QUESTION))["messages"]
    # One member of five says 30 and 40; the server is called once, with the winner's numbers.
    assert received == [(3, 4)]
    assert messages[1].response_metadata["selectllm"]["support"] == 0.8
    (result,) = [message for message in messages if isinstance(message, ToolMessage)]
    # Results of MCP tools are lists of content blocks, which the members read as such.
    assert isinstance(result.content, list)
    assert messages[-1].text == f"The tool said: {result.text}" == "The tool said: 7"
