CREATE OR REPLACE VIEW "analytics"."stg_participant_lists" AS
WITH "people" AS (
  SELECT
    "p"."conference_sid",
    "p"."participant_sid",
    "p"."join_time",
    "p"."is_poor",
    COALESCE(' ' || "p"."call_type", '') || COALESCE(' ' || "p"."country_code", '') || COALESCE(' ' || "p"."participant_region", '') AS "origin",
    CASE WHEN "p"."is_latency_high" THEN ', high latency' ELSE '' END || CASE WHEN "p"."is_jitter_high" THEN ', high jitter' ELSE '' END || CASE WHEN "p"."is_loss_high" THEN ', high loss' ELSE '' END || CASE WHEN "p"."is_mos_low" THEN ', low MOS' ELSE '' END || CASE
      WHEN "p"."is_silent_inbound" OR "p"."is_silent_outbound"
      THEN ', silent'
      ELSE ''
    END AS "wrong"
  FROM "analytics"."stg_participants" AS "p"
)
SELECT
  "p"."conference_sid",
  CAST(COUNT(*) AS BIGINT) AS "participants",
  CAST(SUM(CASE WHEN "p"."is_poor" THEN 1 ELSE 0 END) AS BIGINT) AS "poor_participants",
  CAST(SUM(CASE WHEN "p"."wrong" = '' THEN 0 ELSE 1 END) AS BIGINT) AS "poor_or_silent",
  STRING_AGG(
      "p"."participant_sid" || "p"."origin" || CASE WHEN "p"."wrong" = '' THEN '' ELSE ':' || SUBSTRING("p"."wrong" FROM 2) END,
      '; '
    ORDER BY
      "p"."join_time" NULLS FIRST,
      "p"."participant_sid" NULLS FIRST
  ) AS "participant_list"
FROM "people" AS "p"
GROUP BY
  "p"."conference_sid";

COMMENT ON VIEW "analytics"."stg_participant_lists" IS 'The participants of each conference in a few words, without anything personal. Grain: one row per conference of which participants are loaded. Promise: every participant in the warehouse is in one of the lists. NULL: never. Caveats: what is not known of a participant is left out.';
COMMENT ON COLUMN "analytics"."stg_participant_lists"."conference_sid" IS 'SID of the conference (CF…).';
COMMENT ON COLUMN "analytics"."stg_participant_lists"."participants" IS 'Number of participants.';
COMMENT ON COLUMN "analytics"."stg_participant_lists"."poor_participants" IS 'Of them, those with poor quality.';
COMMENT ON COLUMN "analytics"."stg_participant_lists"."poor_or_silent" IS 'Of them, those with poor quality or silence.';
COMMENT ON COLUMN "analytics"."stg_participant_lists"."participant_list" IS 'The participants by their time of joining, each with call type, country, region and what was wrong.';
