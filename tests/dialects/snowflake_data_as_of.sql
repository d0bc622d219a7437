CREATE OR REPLACE VIEW "ANALYTICS"."DATA_AS_OF" (
  "AS_OF" COMMENT 'Everything created before is loaded, UTC.',
  "AS_OF_LOCAL_HOUR" COMMENT 'The hour in the report\'s time zone in which `as_of_hour` begins.',
  "REPORT_TIMEZONE" COMMENT 'Time zone of hours, days and weeks, an IANA name.',
  "LAST_GOOD_RUN_AT" COMMENT 'End of the last scheduled run that ended well, UTC.',
  "FILTERS" COMMENT 'Filters that hid what they do not fit, JSON text; NULL for none.',
  "PERSONAL_DATA" COMMENT 'What is done to personal data before it is written: keep, hash or drop.'
)
COMMENT = 'Until when is everything loaded, of what, and in which time zone are days and hours? Grain: one row. Promise: every conference created before `as_of` that Twilio showed is here, of the accounts that are followed and not refused, as far as the filters allow. NULL: `filters` where there are none, `last_good_run_at` before the first run has ended; the others before one has loaded. Caveats: accounts has how far each is loaded. `last_good_run_at` is of a run that has ended, so not of the one that publishes a copy.'
AS
SELECT
  "A"."AS_OF",
  "A"."AS_OF_LOCAL_HOUR",
  "Z"."REPORT_TIMEZONE",
  "A"."LAST_GOOD_RUN_AT",
  "A"."FILTERS",
  "A"."PERSONAL_DATA"
FROM "ANALYTICS"."STG_AS_OF" AS "A"
CROSS JOIN "CONFERENCE_INSIGHTS"."_REPORT" AS "Z";
