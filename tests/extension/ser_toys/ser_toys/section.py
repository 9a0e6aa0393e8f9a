"""Toy section of a study's page: errors of the selected model by emotion, with a figure."""

from __future__ import annotations

from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.report.figures import BLUE, house_style, png_bytes
from benchmark.report.sections import Section

TEMPLATE = """
## Toy errors

Error rate of {{ named(board.selected[board.leading].model) }} by emotion, {{ leading.column }}.

{{ picture("toy_errors.png", "Error rate by emotion") }}

{% for emotion, rate in facts.items() %}
- {{ emotion | plain }}: {{ rate | number }}
{% endfor %}
"""


def error_rates(board: Leaderboard) -> dict[str, float]:
    """Return the error rate by emotion under the leading protocol."""
    recalls = board.selected_evaluation(board.leading).per_emotion["recall"]
    return {str(emotion): 1.0 - float(recall) for emotion, recall in recalls.items()}


def bar_chart(_board: Leaderboard, rates: dict[str, float]) -> dict[str, bytes]:
    """Return the section's figures by file name."""
    with house_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.0, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.barh(list(rates), list(rates.values()), color=BLUE)
        axes.set_xlabel("error rate")
        return {"toy_errors.png": png_bytes(figure)}


TOY_ERRORS = Section(name="toy_errors", facts=error_rates, figures=bar_chart, template=TEMPLATE)
