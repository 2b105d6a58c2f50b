"""The report as one self-contained HTML page, and its plots as files."""

from langchain_selectllm.evaluation.page.plots import save_plots
from langchain_selectllm.evaluation.page.render import render_page

__all__ = ["render_page", "save_plots"]
