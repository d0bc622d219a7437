CREATE OR REPLACE VIEW "analytics"."data_as_of" AS
SELECT
  "a"."as_of" AS "as_of",
  "a"."as_of_local_hour" AS "as_of_local_hour",
  "z"."report_timezone" AS "report_timezone",
  "a"."last_good_run_at" AS "last_good_run_at",
  "a"."filters" AS "filters",
  "a"."personal_data" AS "personal_data"
FROM "analytics"."stg_as_of" AS "a"
CROSS JOIN "conference_insights"."_report" AS "z"
SETTINGS join_use_nulls = 1;

ALTER TABLE "analytics"."data_as_of" MODIFY COMMENT 'Until when is everything loaded, of what, and in which time zone are days and hours? Grain: one row. Promise: every conference created before `as_of` that Twilio showed is here, of the accounts that are followed and not refused, as far as the filters allow. NULL: `filters` where there are none, `last_good_run_at` before the first run has ended; the others before one has loaded. Caveats: accounts has how far each is loaded. `last_good_run_at` is of a run that has ended, so not of the one that publishes a copy.';
ALTER TABLE "analytics"."data_as_of" COMMENT COLUMN "as_of" 'Everything created before is loaded, UTC.';
ALTER TABLE "analytics"."data_as_of" COMMENT COLUMN "as_of_local_hour" 'The hour in the report''s time zone in which `as_of_hour` begins.';
ALTER TABLE "analytics"."data_as_of" COMMENT COLUMN "report_timezone" 'Time zone of hours, days and weeks, an IANA name.';
ALTER TABLE "analytics"."data_as_of" COMMENT COLUMN "last_good_run_at" 'End of the last scheduled run that ended well, UTC.';
ALTER TABLE "analytics"."data_as_of" COMMENT COLUMN "filters" 'Filters that hid what they do not fit, JSON text; NULL for none.';
ALTER TABLE "analytics"."data_as_of" COMMENT COLUMN "personal_data" 'What is done to personal data before it is written: keep, hash or drop.';
