-- The participants of each conference in a few words, without anything personal.
-- Grain: one row per conference of which participants are loaded.
-- Promise: every participant in the warehouse is in one of the lists.
-- NULL: never.
-- Caveats: what is not known of a participant is left out.
WITH people AS (
    SELECT
        p.conference_sid,
        p.participant_sid,
        p.join_time,
        p.is_poor,
        coalesce(' ' || p.call_type, '')
        || coalesce(' ' || p.country_code, '')
        || coalesce(' ' || p.participant_region, '') AS origin,
        CASE WHEN p.is_latency_high THEN ', high latency' ELSE '' END
        || CASE WHEN p.is_jitter_high THEN ', high jitter' ELSE '' END
        || CASE WHEN p.is_loss_high THEN ', high loss' ELSE '' END
        || CASE WHEN p.is_mos_low THEN ', low MOS' ELSE '' END
        || CASE WHEN p.is_silent_inbound OR p.is_silent_outbound THEN ', silent' ELSE '' END
            AS wrong
    FROM analytics.stg_participants AS p
)
SELECT
    p.conference_sid,
    CAST(count(*) AS BIGINT) AS participants,
    CAST(sum(CASE WHEN p.is_poor THEN 1 ELSE 0 END) AS BIGINT) AS poor_participants,
    CAST(sum(CASE WHEN p.wrong = '' THEN 0 ELSE 1 END) AS BIGINT) AS poor_or_silent,
    string_agg(
        p.participant_sid || p.origin
        || CASE WHEN p.wrong = '' THEN '' ELSE ':' || substring(p.wrong, 2) END,
        '; '
        ORDER BY p.join_time NULLS FIRST, p.participant_sid NULLS FIRST
    ) AS participant_list
FROM people AS p
GROUP BY p.conference_sid
