"""The last week in numbers, from the published copy. Open it with `marimo edit sql/notebook.py`."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Conferences")

with app.setup:
    import altair
    import duckdb
    import marimo as mo


@app.cell
def _():
    insights = duckdb.connect(
        mo.cli_args().get("copy", "warehouse.published/current/insights.duckdb"),
        read_only=True,
        config={"enable_external_access": "false", "lock_configuration": "true"},
    )
    return (insights,)


@app.cell
def _(insights):
    ((as_of, report_timezone),) = insights.execute(
        "SELECT as_of, report_timezone FROM analytics.data_as_of"
    ).fetchall()
    mo.md(f"""
    # Conferences

    Complete until **{as_of:%Y-%m-%d %H:%M} UTC**. Days are those of {report_timezone}.
    """)
    return


@app.cell
def _(insights):
    (week,) = insights.execute("""
        SELECT sum(conferences), sum(prior_conferences) FILTER (is_compared),
            sum(total_participants), sum(prior_total_participants) FILTER (is_compared),
            CAST(sum(total_seconds) / 3600.0 AS BIGINT),
            CAST(sum(prior_total_seconds) FILTER (is_compared) / 3600.0 AS BIGINT),
            round(100.0 * sum(final_without_problem) / nullif(sum(final), 0), 1),
            round(100.0 * sum(prior_final_without_problem) FILTER (is_compared)
                / nullif(sum(prior_final) FILTER (is_compared), 0), 1)
        FROM analytics.conference_kpis
        WHERE period_days = 7
    """).fetchall()
    captions = ["{:,} the week before, where the two can be compared", "no week to compare"]
    labels = ["conferences", "participants", "hours", "% final without problem"]
    mo.vstack(
        [
            mo.md("## The last seven days"),
            mo.hstack(
                [
                    mo.stat(now or 0, label=label, caption=captions[before is None].format(before))
                    for label, now, before in zip(labels, week[::2], week[1::2], strict=True)
                ]
            ),
        ]
    )
    return (week,)


@app.cell
def _(insights):
    volume = mo.sql(
        f"""
        SELECT created_date, CAST(sum(conferences) AS BIGINT) AS conferences,
            CAST(sum(CASE WHEN is_compared THEN conferences_week_before END) AS BIGINT)
                AS a_week_before
        FROM analytics.conference_volume AS v, analytics.data_as_of AS d
        WHERE v.created_date > CAST(d.as_of_local_hour AS DATE) - INTERVAL '30' DAY
        GROUP BY created_date
        ORDER BY created_date
        """,
        output=False,
        engine=insights,
    )
    return (volume,)


@app.cell
def _(volume):
    days = altair.Chart(volume).encode(altair.X("yearmonthdate(created_date):O", title=None))
    chart = (
        days.mark_bar().encode(altair.Y("conferences:Q", title=None))
        + days.mark_line(color="orange").encode(altair.Y("a_week_before:Q", title=None))
    ).properties(width="container", title="Conferences a day; orange: a week before")
    mo.ui.altair_chart(chart, chart_selection=False, legend_selection=False)
    return


@app.cell
def _(insights):
    problems = mo.sql(
        f"""
        SELECT kind, name, CAST(sum(conferences) AS BIGINT) AS conferences,
            CAST(sum(CASE WHEN is_compared THEN conferences END) AS BIGINT) AS compared,
            CAST(sum(CASE WHEN is_compared THEN conferences_week_before END) AS BIGINT)
                AS a_week_before,
            CAST(sum(total_issues) AS BIGINT) AS total_issues
        FROM analytics.conference_issue_trends AS t, analytics.data_as_of AS d
        WHERE t.created_date >= CAST(d.as_of_local_hour AS DATE) - INTERVAL '7' DAY
            AND t.created_date < CAST(d.as_of_local_hour AS DATE)
        GROUP BY kind, name
        ORDER BY kind, conferences DESC
        """,
        engine=insights,
    )
    return (problems,)


if __name__ == "__main__":
    app.run()
