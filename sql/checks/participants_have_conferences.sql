-- fail: A participant belongs to a conference that is not in conference_summaries.
SELECT p.participant_sid, p.conference_sid
FROM conference_insights.conference_participants AS p
LEFT JOIN conference_insights.conference_summaries AS s ON s.conference_sid = p.conference_sid
WHERE s.conference_sid IS NULL
