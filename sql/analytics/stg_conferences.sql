-- Each summary, with its account's name, its hour in the report's time zone, and how complete it is.
-- Grain: one row per conference.
-- Promise: every conference in the warehouse, once.
-- NULL: `created_hour` where Twilio gave no creation time; SID and name where it gave no account.
-- Caveats: hours before 2020 or beyond next year are taken as UTC.
SELECT
    s.conference_sid,
    s.account_sid,
    coalesce(n.account_name, s.account_sid) AS account_name,
    s.friendly_name,
    s.create_time,
    s.start_time,
    s.end_time,
    CASE
        WHEN extract(minute FROM s.create_time) >= h.change_minute THEN h.local_hour_after
        ELSE coalesce(h.local_hour, date_trunc('hour', s.create_time))
    END AS created_hour,
    s.status,
    s.processing_state,
    CASE
        WHEN s.processing_state = 'each_final_state' THEN 'final'
        WHEN coalesce(s.create_time, s.fetched_at)
            < a.as_of_hour - INTERVAL 'retention_days' DAY THEN 'expired'
        ELSE 'pending'
    END AS completeness,
    s.end_reason,
    s.ended_by,
    s.duration_seconds,
    s.connect_duration_seconds,
    s.max_participants,
    s.max_concurrent_participants,
    s.unique_participants,
    s.mixer_region,
    s.mixer_region_requested,
    s.recording_enabled,
    s.fetched_at
FROM conference_insights.conference_summaries AS s
CROSS JOIN analytics.stg_as_of AS a
LEFT JOIN analytics.stg_accounts AS n ON n.account_sid = s.account_sid
LEFT JOIN conference_insights._report_hours AS h
    ON h.utc_hour = date_trunc('hour', s.create_time)
