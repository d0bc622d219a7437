-- Who was in a conference, and how well could they hear each other?
-- Grain: one row per participant: who leaves and joins again is another one.
-- Promise: every participant in the warehouse, once; Twilio documents the thresholds of the flags
--   with the issues that it detects in conferences (Conference Insights, call quality): mean latency
--   of 150 ms or more; a mean jitter of 5 ms or more and a highest of 20 ms or more; 5 % of the
--   packets lost or more; a MOS of 3.5 or less. One direction is enough.
-- NULL: flags of a participant without metrics, so `NOT is_poor` means measured and good;
--   `is_silent_…` of a direction without metrics; what Twilio did not give.
-- Caveats: a value that is missing is not high or low, whatever the others are. Inbound is what came from the participant, outbound what the participant was sent. Twilio
--   documents `outbound_time_in_queue` in seconds, but its samples look like milliseconds. There is no
--   view of a person over several conferences: it would expose people.
-- Ask: Who had the worst quality in the last seven days?
--   SELECT p.participant_sid, p.conference_sid, p.country_code, p.call_type, p.inbound_mos,
--       p.outbound_mos, p.inbound_packet_loss_percentage, p.outbound_packet_loss_percentage
--   FROM analytics.participants AS p, analytics.data_as_of AS d
--   WHERE p.is_poor AND p.created_hour >= d.as_of_local_hour - INTERVAL '7' DAY
--   ORDER BY least(p.inbound_mos, p.outbound_mos)
--   LIMIT 10;
-- Ask: Which region has the largest share of participants with high latency?
--   SELECT participant_region, count(is_poor) AS measured,
--       round(100.0 * sum(CASE WHEN is_latency_high THEN 1 ELSE 0 END)
--           / nullif(count(is_poor), 0), 1) AS percent_with_high_latency
--   FROM analytics.participants
--   GROUP BY participant_region
--   ORDER BY percent_with_high_latency DESC NULLS LAST;
WITH events AS (
    SELECT e.participant_sid, CAST(count(*) AS BIGINT) AS event_count
    FROM conference_insights.conference_participant_events AS e
    GROUP BY e.participant_sid
),
coaching AS (
    SELECT c.participant_sid, CAST(count(*) AS BIGINT) AS coached_calls
    FROM conference_insights.conference_participant_coaching AS c
    GROUP BY c.participant_sid
)
SELECT
    p.participant_sid,
    p.conference_sid,
    s.account_sid,
    s.account_name,
    p.call_sid,
    p.label,
    p.calling_party,
    p.called_party,
    p.call_direction,
    p.call_type,
    p.call_status,
    p.country_code,
    p.participant_region,
    p.conference_region,
    p.is_moderator,
    p.is_coach,
    coalesce(c.coached_calls, 0) AS coached_calls,
    p.join_time,
    p.leave_time,
    s.created_hour,
    CAST(s.created_hour AS DATE) AS created_date,
    p.duration_seconds,
    p.outbound_queue_length,
    p.outbound_time_in_queue,
    p.jitter_buffer_size,
    p.processing_state,
    CASE
        WHEN p.processing_state = 'each_final_state' THEN 'final'
        WHEN coalesce(s.create_time, s.fetched_at)
            < a.as_of_hour - INTERVAL 'retention_days' DAY THEN 'expired'
        ELSE 'pending'
    END AS participant_completeness,
    p.start_conference_on_enter,
    p.end_conference_on_exit,
    p.early_media,
    p.enter_muted,
    p.beep_on_enter,
    p.beep_on_exit,
    coalesce(e.event_count, 0) AS event_count,
    p.inbound_packets_lost,
    p.inbound_packets_received,
    p.inbound_packet_loss_percentage,
    p.inbound_jitter_avg,
    p.inbound_jitter_max,
    p.inbound_latency_avg,
    p.inbound_latency_max,
    p.inbound_mos,
    p.outbound_packets_lost,
    p.outbound_packets_received,
    p.outbound_packet_loss_percentage,
    p.outbound_jitter_avg,
    p.outbound_jitter_max,
    p.outbound_latency_avg,
    p.outbound_latency_max,
    p.outbound_mos,
    p.is_silent_inbound,
    p.is_silent_outbound,
    p.is_latency_high,
    p.is_jitter_high,
    p.is_loss_high,
    p.is_mos_low,
    p.is_poor
FROM analytics.stg_participants AS p
INNER JOIN analytics.stg_conferences AS s ON s.conference_sid = p.conference_sid
CROSS JOIN analytics.stg_as_of AS a
LEFT JOIN events AS e ON e.participant_sid = p.participant_sid
LEFT JOIN coaching AS c ON c.participant_sid = p.participant_sid
