-- Each participant, with the metrics of both directions and what Twilio's thresholds say of them.
-- Grain: one row per participant.
-- Promise: every participant in the warehouse, once.
-- NULL: flags of a participant without metrics; what Twilio did not give.
-- Caveats: of the metrics only inbound and outbound are here, whatever else Twilio may send.
WITH inbound AS (
    -- Each direction is chosen before it is joined: with the direction among the join's conditions
    -- DuckDB 2.0 takes flags for 0 that are 1, where one of the directions has no rows.
    SELECT m.*
    FROM conference_insights.conference_participant_metrics AS m
    WHERE m.direction = 'inbound'
),
outbound AS (
    SELECT m.*
    FROM conference_insights.conference_participant_metrics AS m
    WHERE m.direction = 'outbound'
),
joined AS (
    SELECT
        p.participant_sid,
        p.conference_sid,
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
        p.join_time,
        p.leave_time,
        p.duration_seconds,
        p.outbound_queue_length,
        p.outbound_time_in_queue,
        p.jitter_buffer_size,
        p.processing_state,
        p.start_conference_on_enter,
        p.end_conference_on_exit,
        coalesce(p.early_media, p.play_early_media) AS early_media,
        p.enter_muted,
        p.beep_on_enter,
        p.beep_on_exit,
        i.total_packets_lost AS inbound_packets_lost,
        i.total_packets_received AS inbound_packets_received,
        i.packet_loss_percentage AS inbound_packet_loss_percentage,
        i.jitter_avg AS inbound_jitter_avg,
        i.jitter_max AS inbound_jitter_max,
        i.latency_avg AS inbound_latency_avg,
        i.latency_max AS inbound_latency_max,
        i.mos AS inbound_mos,
        o.total_packets_lost AS outbound_packets_lost,
        o.total_packets_received AS outbound_packets_received,
        o.packet_loss_percentage AS outbound_packet_loss_percentage,
        o.jitter_avg AS outbound_jitter_avg,
        o.jitter_max AS outbound_jitter_max,
        o.latency_avg AS outbound_latency_avg,
        o.latency_max AS outbound_latency_max,
        o.mos AS outbound_mos,
        i.is_silent AS is_silent_inbound,
        o.is_silent AS is_silent_outbound,
        CASE
            WHEN coalesce(
                i.packet_loss_percentage, i.jitter_avg, i.jitter_max, i.latency_avg, i.latency_max,
                i.mos, o.packet_loss_percentage, o.jitter_avg, o.jitter_max, o.latency_avg,
                o.latency_max, o.mos
            ) IS NOT NULL THEN 1
        END AS measured,
        CASE WHEN i.latency_avg >= 150 OR o.latency_avg >= 150 THEN 1 ELSE 0 END AS latency_high,
        CASE
            WHEN i.jitter_avg >= 5 AND i.jitter_max >= 20 THEN 1
            WHEN o.jitter_avg >= 5 AND o.jitter_max >= 20 THEN 1
            ELSE 0
        END AS jitter_high,
        CASE
            WHEN i.packet_loss_percentage >= 5 OR o.packet_loss_percentage >= 5 THEN 1
            ELSE 0
        END AS loss_high,
        CASE WHEN i.mos <= 3.5 OR o.mos <= 3.5 THEN 1 ELSE 0 END AS mos_low
    FROM conference_insights.conference_participants AS p
    LEFT JOIN inbound AS i ON i.participant_sid = p.participant_sid
    LEFT JOIN outbound AS o ON o.participant_sid = p.participant_sid
)
SELECT
    j.participant_sid,
    j.conference_sid,
    j.call_sid,
    j.label,
    j.calling_party,
    j.called_party,
    j.call_direction,
    j.call_type,
    j.call_status,
    j.country_code,
    j.participant_region,
    j.conference_region,
    j.is_moderator,
    j.is_coach,
    j.join_time,
    j.leave_time,
    j.duration_seconds,
    j.outbound_queue_length,
    j.outbound_time_in_queue,
    j.jitter_buffer_size,
    j.processing_state,
    j.start_conference_on_enter,
    j.end_conference_on_exit,
    j.early_media,
    j.enter_muted,
    j.beep_on_enter,
    j.beep_on_exit,
    j.inbound_packets_lost,
    j.inbound_packets_received,
    j.inbound_packet_loss_percentage,
    j.inbound_jitter_avg,
    j.inbound_jitter_max,
    j.inbound_latency_avg,
    j.inbound_latency_max,
    j.inbound_mos,
    j.outbound_packets_lost,
    j.outbound_packets_received,
    j.outbound_packet_loss_percentage,
    j.outbound_jitter_avg,
    j.outbound_jitter_max,
    j.outbound_latency_avg,
    j.outbound_latency_max,
    j.outbound_mos,
    j.is_silent_inbound,
    j.is_silent_outbound,
    CASE WHEN j.measured = 1 THEN j.latency_high = 1 END AS is_latency_high,
    CASE WHEN j.measured = 1 THEN j.jitter_high = 1 END AS is_jitter_high,
    CASE WHEN j.measured = 1 THEN j.loss_high = 1 END AS is_loss_high,
    CASE WHEN j.measured = 1 THEN j.mos_low = 1 END AS is_mos_low,
    CASE WHEN j.measured = 1 THEN j.latency_high + j.jitter_high + j.loss_high + j.mos_low > 0 END
        AS is_poor
FROM joined AS j
