-- fail: A participant belongs to a conference that is not in conference_summaries.
-- Means: Participants are listed for conferences that are loaded: one without its conference
--   comes from a change by hand, a restored table or a damaged disk. It is in no view.
-- Do: load the conference, `conference-insights backfill --conference CF…`; if Twilio has deleted
--   it, delete the participant and what belongs to it.
SELECT p.participant_sid, p.conference_sid
FROM conference_insights.conference_participants AS p
LEFT JOIN conference_insights.conference_summaries AS s ON s.conference_sid = p.conference_sid
WHERE s.conference_sid IS NULL
