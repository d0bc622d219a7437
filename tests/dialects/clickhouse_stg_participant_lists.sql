CREATE OR REPLACE VIEW "analytics"."stg_participant_lists" AS
WITH "people" AS (
  SELECT
    "p"."conference_sid" AS "conference_sid",
    "p"."participant_sid" AS "participant_sid",
    "p"."join_time" AS "join_time",
    "p"."is_poor" AS "is_poor",
    COALESCE(' ' || "p"."call_type", '') || COALESCE(' ' || "p"."country_code", '') || COALESCE(' ' || "p"."participant_region", '') AS "origin",
    CASE WHEN "p"."is_latency_high" THEN ', high latency' ELSE '' END || CASE WHEN "p"."is_jitter_high" THEN ', high jitter' ELSE '' END || CASE WHEN "p"."is_loss_high" THEN ', high loss' ELSE '' END || CASE WHEN "p"."is_mos_low" THEN ', low MOS' ELSE '' END || CASE
      WHEN "p"."is_silent_inbound" OR "p"."is_silent_outbound"
      THEN ', silent'
      ELSE ''
    END AS "wrong"
  FROM "analytics"."stg_participants" AS "p"
)
SELECT
  "p"."conference_sid" AS "conference_sid",
  CAST(COUNT(*) AS Nullable(Int64)) AS "participants",
  CAST(SUM(CASE WHEN "p"."is_poor" THEN 1 ELSE 0 END) AS Nullable(Int64)) AS "poor_participants",
  CAST(SUM(CASE WHEN "p"."wrong" = '' THEN 0 ELSE 1 END) AS Nullable(Int64)) AS "poor_or_silent",
  arrayStringConcat(
    arrayMap(
      "row" -> "row".2,
      arraySort(
        "row" -> "row".1,
        groupArray(
          (
            (
              isNotNull("p"."join_time"),
              "p"."join_time",
              isNotNull("p"."participant_sid"),
              "p"."participant_sid"
            ),
            "p"."participant_sid" || "p"."origin" || CASE WHEN "p"."wrong" = '' THEN '' ELSE ':' || SUBSTRING("p"."wrong", 2) END
          )
        )
      )
    ),
    '; '
  ) AS "participant_list"
FROM "people" AS "p"
GROUP BY
  "p"."conference_sid"
SETTINGS join_use_nulls = 1;

ALTER TABLE "analytics"."stg_participant_lists" MODIFY COMMENT 'The participants of each conference in a few words, without anything personal. Grain: one row per conference of which participants are loaded. Promise: every participant in the warehouse is in one of the lists. NULL: never. Caveats: what is not known of a participant is left out.';
ALTER TABLE "analytics"."stg_participant_lists" COMMENT COLUMN "conference_sid" 'SID of the conference (CF…).';
ALTER TABLE "analytics"."stg_participant_lists" COMMENT COLUMN "participants" 'Number of participants.';
ALTER TABLE "analytics"."stg_participant_lists" COMMENT COLUMN "poor_participants" 'Of them, those with poor quality.';
ALTER TABLE "analytics"."stg_participant_lists" COMMENT COLUMN "poor_or_silent" 'Of them, those with poor quality or silence.';
ALTER TABLE "analytics"."stg_participant_lists" COMMENT COLUMN "participant_list" 'The participants by their time of joining, each with call type, country, region and what was wrong.';
