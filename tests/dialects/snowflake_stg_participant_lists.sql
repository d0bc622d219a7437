CREATE OR REPLACE VIEW "ANALYTICS"."STG_PARTICIPANT_LISTS" (
  "CONFERENCE_SID" COMMENT 'SID of the conference (CF…).',
  "PARTICIPANTS" COMMENT 'Number of participants.',
  "POOR_PARTICIPANTS" COMMENT 'Of them, those with poor quality.',
  "POOR_OR_SILENT" COMMENT 'Of them, those with poor quality or silence.',
  "PARTICIPANT_LIST" COMMENT 'The participants by their time of joining, each with call type, country, region and what was wrong.'
)
COMMENT = 'The participants of each conference in a few words, without anything personal. Grain: one row per conference of which participants are loaded. Promise: every participant in the warehouse is in one of the lists. NULL: never. Caveats: what is not known of a participant is left out.'
AS
WITH "PEOPLE" AS (
  SELECT
    "P"."CONFERENCE_SID",
    "P"."PARTICIPANT_SID",
    "P"."JOIN_TIME",
    "P"."IS_POOR",
    COALESCE(' ' || "P"."CALL_TYPE", '') || COALESCE(' ' || "P"."COUNTRY_CODE", '') || COALESCE(' ' || "P"."PARTICIPANT_REGION", '') AS "ORIGIN",
    CASE WHEN "P"."IS_LATENCY_HIGH" THEN ', high latency' ELSE '' END || CASE WHEN "P"."IS_JITTER_HIGH" THEN ', high jitter' ELSE '' END || CASE WHEN "P"."IS_LOSS_HIGH" THEN ', high loss' ELSE '' END || CASE WHEN "P"."IS_MOS_LOW" THEN ', low MOS' ELSE '' END || CASE
      WHEN "P"."IS_SILENT_INBOUND" OR "P"."IS_SILENT_OUTBOUND"
      THEN ', silent'
      ELSE ''
    END AS "WRONG"
  FROM "ANALYTICS"."STG_PARTICIPANTS" AS "P"
)
SELECT
  "P"."CONFERENCE_SID",
  CAST(COUNT(*) AS BIGINT) AS "PARTICIPANTS",
  CAST(SUM(CASE WHEN "P"."IS_POOR" THEN 1 ELSE 0 END) AS BIGINT) AS "POOR_PARTICIPANTS",
  CAST(SUM(CASE WHEN "P"."WRONG" = '' THEN 0 ELSE 1 END) AS BIGINT) AS "POOR_OR_SILENT",
  LISTAGG(
      "P"."PARTICIPANT_SID" || "P"."ORIGIN" || CASE WHEN "P"."WRONG" = '' THEN '' ELSE ':' || SUBSTRING("P"."WRONG", 2) END,
      '; '
  ) WITHIN GROUP (ORDER BY
    "P"."JOIN_TIME" NULLS FIRST,
    "P"."PARTICIPANT_SID" NULLS FIRST) AS "PARTICIPANT_LIST"
FROM "PEOPLE" AS "P"
GROUP BY
  "P"."CONFERENCE_SID";
