-- fail: The view participants does not have exactly one row for each participant.
SELECT v.participants, t.participants AS in_the_table
FROM (SELECT count(*) AS participants FROM analytics.participants AS p) AS v
CROSS JOIN (
    SELECT count(*) AS participants
    FROM conference_insights.conference_participants AS q
) AS t
WHERE v.participants <> t.participants
