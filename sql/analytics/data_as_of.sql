-- Until when is everything loaded, of what, and in which time zone are days and hours?
-- Grain: one row.
-- Promise: every conference created before `as_of` that Twilio showed is here, of the accounts that
--   are followed and not refused, as far as the filters allow.
-- NULL: `filters` where there are none, `last_good_run_at` before the first run has ended; the
--   others before one has loaded.
-- Caveats: accounts has how far each is loaded. `last_good_run_at` is of a run that has
--   ended, so not of the one that publishes a copy.
-- Ask: How old is the data?
--   SELECT as_of, report_timezone, last_good_run_at FROM analytics.data_as_of;
SELECT
    a.as_of,
    a.as_of_local_hour,
    z.report_timezone,
    a.last_good_run_at,
    a.filters,
    a.personal_data
FROM analytics.stg_as_of AS a
CROSS JOIN conference_insights._report AS z
