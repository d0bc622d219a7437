-- Where is the quality bad: by day, country, kind of call, direction and region?
-- Grain: one row per account, day of the conference's creation, country, call type, call direction
--   and region, of which there were participants.
-- Promise: every participant in the warehouse counts once.
-- NULL: what Twilio did not give of these; sums that no participant had a value for.
-- Caveats: shares are formulas over sums, and of those that were measured: sum(poor) / sum(measured).
--   Mean MOS: sum(inbound_mos_total) / sum(inbound_mos_measured), of values from 0 to 5 only.
-- Ask: In which countries is the quality worst?
--   SELECT country_code, sum(participants) AS participants,
--       round(100.0 * sum(poor) / nullif(sum(measured), 0), 1) AS percent_poor,
--       CAST(sum(inbound_mos_total) / nullif(sum(inbound_mos_measured), 0) AS DECIMAL(4, 2))
--           AS mean_inbound_mos
--   FROM analytics.participant_quality
--   GROUP BY country_code
--   ORDER BY percent_poor DESC NULLS LAST;
-- Ask: Does a region get worse, day by day?
--   SELECT created_date, participant_region, sum(measured) AS measured, sum(poor) AS poor,
--       sum(latency_high) AS latency_high, sum(loss_high) AS loss_high
--   FROM analytics.participant_quality
--   GROUP BY created_date, participant_region
--   ORDER BY created_date, poor DESC;
SELECT
    p.created_date,
    p.account_sid,
    p.account_name,
    p.country_code,
    p.call_type,
    p.call_direction,
    p.participant_region,
    CAST(count(*) AS BIGINT) AS participants,
    CAST(count(p.is_poor) AS BIGINT) AS measured,
    CAST(sum(CASE WHEN p.is_poor THEN 1 ELSE 0 END) AS BIGINT) AS poor,
    CAST(sum(CASE WHEN p.is_latency_high THEN 1 ELSE 0 END) AS BIGINT) AS latency_high,
    CAST(sum(CASE WHEN p.is_jitter_high THEN 1 ELSE 0 END) AS BIGINT) AS jitter_high,
    CAST(sum(CASE WHEN p.is_loss_high THEN 1 ELSE 0 END) AS BIGINT) AS loss_high,
    CAST(sum(CASE WHEN p.is_mos_low THEN 1 ELSE 0 END) AS BIGINT) AS mos_low,
    CAST(sum(CASE WHEN p.is_silent_inbound OR p.is_silent_outbound THEN 1 ELSE 0 END) AS BIGINT)
        AS silent,
    CAST(sum(p.inbound_packets_lost) AS BIGINT) AS inbound_packets_lost,
    CAST(sum(p.inbound_packets_received) AS BIGINT) AS inbound_packets_received,
    CAST(sum(p.outbound_packets_lost) AS BIGINT) AS outbound_packets_lost,
    CAST(sum(p.outbound_packets_received) AS BIGINT) AS outbound_packets_received,
    -- As decimals, whose sum is the same in any order of the rows.
    CAST(
        sum(CASE WHEN p.inbound_mos BETWEEN 0 AND 5 THEN CAST(p.inbound_mos AS DECIMAL(18, 6)) END)
        AS DOUBLE
    ) AS inbound_mos_total,
    CAST(count(CASE WHEN p.inbound_mos BETWEEN 0 AND 5 THEN 1 END) AS BIGINT)
        AS inbound_mos_measured,
    CAST(
        sum(CASE WHEN p.outbound_mos BETWEEN 0 AND 5 THEN CAST(p.outbound_mos AS DECIMAL(18, 6)) END)
        AS DOUBLE
    ) AS outbound_mos_total,
    CAST(count(CASE WHEN p.outbound_mos BETWEEN 0 AND 5 THEN 1 END) AS BIGINT)
        AS outbound_mos_measured,
    CAST(sum(p.duration_seconds) AS BIGINT) AS total_seconds
FROM analytics.participants AS p
GROUP BY
    p.created_date,
    p.account_sid,
    p.account_name,
    p.country_code,
    p.call_type,
    p.call_direction,
    p.participant_region
