CREATE OR REPLACE VIEW "analytics"."data_as_of" AS
SELECT
  "a"."as_of",
  "a"."as_of_local_hour",
  "z"."report_timezone",
  "a"."last_good_run_at",
  "a"."filters",
  "a"."personal_data"
FROM "analytics"."stg_as_of" AS "a"
CROSS JOIN "conference_insights"."_report" AS "z";

COMMENT ON VIEW "analytics"."data_as_of" IS 'Until when is everything loaded, of what, and in which time zone are days and hours? Grain: one row. Promise: every conference created before `as_of` that Twilio showed is here, of the accounts that are followed and not refused, as far as the filters allow. NULL: `filters` where there are none, `last_good_run_at` before the first run has ended; the others before one has loaded. Caveats: accounts has how far each is loaded. `last_good_run_at` is of a run that has ended, so not of the one that publishes a copy.';
COMMENT ON COLUMN "analytics"."data_as_of"."as_of" IS 'Everything created before is loaded, UTC.';
COMMENT ON COLUMN "analytics"."data_as_of"."as_of_local_hour" IS 'The hour in the report\'s time zone in which `as_of_hour` begins.';
COMMENT ON COLUMN "analytics"."data_as_of"."report_timezone" IS 'Time zone of hours, days and weeks, an IANA name.';
COMMENT ON COLUMN "analytics"."data_as_of"."last_good_run_at" IS 'End of the last scheduled run that ended well, UTC.';
COMMENT ON COLUMN "analytics"."data_as_of"."filters" IS 'Filters that hid what they do not fit, JSON text; NULL for none.';
COMMENT ON COLUMN "analytics"."data_as_of"."personal_data" IS 'What is done to personal data before it is written: keep, hash or drop.';
