-- How did tags and issues go, day by day?
-- Grain: one row per kind (`tag` or `detected_issue`), name, and day of the period.
-- Promise: sums of conference_issue_trends over all accounts, final conferences only; shares are
--   over `final` of conference_kpis_daily.
-- NULL: `percent` of a day that has no final conference.
-- Caveats: Twilio sets tags when a summary is final, so the last days may grow.
WITH days AS (
    SELECT k.created_date, sum(k.final) AS final
    FROM analytics.conference_kpis_daily AS k
    WHERE k.created_date >= $from AND k.created_date < $to
    GROUP BY k.created_date
),
counted AS (
    SELECT t.kind, t.name, t.created_date, sum(t.conferences) AS conferences
    FROM analytics.conference_issue_trends AS t
    WHERE t.created_date >= $from AND t.created_date < $to AND t.completeness = 'final'
    GROUP BY t.kind, t.name, t.created_date
),
names AS (
    SELECT DISTINCT c.kind, c.name
    FROM counted AS c
)
SELECT
    n.kind,
    n.name,
    d.created_date AS day,
    100.0 * coalesce(c.conferences, 0) / nullif(d.final, 0) AS percent
FROM names AS n
CROSS JOIN days AS d
LEFT JOIN counted AS c
    ON c.kind = n.kind AND c.name = n.name AND c.created_date = d.created_date
