-- Which conferences were the worst?
-- Grain: one row per conference, at most 9.
-- Promise: rows of conference_health_card as they are.
-- NULL: as in conference_health_card.
-- Caveats: all columns, since a copy without personal data lacks some of them.
SELECT h.*
FROM analytics.conference_health_card AS h
WHERE h.created_date >= $from AND h.created_date < $to AND h.findings > 0
ORDER BY
    h.severity_rank DESC,
    h.participants_touched DESC,
    h.findings DESC,
    h.create_time DESC,
    h.conference_sid ASC NULLS LAST
LIMIT 9
