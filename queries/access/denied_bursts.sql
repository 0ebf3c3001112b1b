-- question: Who ran into denials in bursts, and did any call succeed afterwards?
-- why: someone who does not know what a credential may do tries it out; a call denied first and allowed later is a way found
-- technique: T1580
-- false positives: a broken deployment or a removed permission repeats one call from its usual place
-- default: minimum = 3
WITH tried AS (
    SELECT
        principal, access_key_id, account_id, event_time, event_id, event_source, event_name, source_ip, outcome,
        -- a dry run that would have succeeded is recorded as an error: it probes for a permission
        COALESCE(error_code LIKE '%DryRunOperation%', false) AS dry_run,
        -- a denied call has no parameters: the role or key that it was about stands in the message alone
        regexp_extract(error_message, 'on resource: (\S+)', 1) AS wanted,
        from_unixtime(floor(to_unixtime(event_time) / 300) * 300) AS burst
    FROM events
    WHERE event_time BETWEEN :start AND :end AND principal IS NOT NULL AND contains(:accounts, account_id) AND contains(:regions, region)
),
allowed AS (
    SELECT principal, event_source, event_name, max(event_time) AS last_allowed, max_by(event_id, ROW(event_time, COALESCE(event_id, ''))) AS allowed_event_id
    FROM tried
    WHERE outcome = 'ok'
    GROUP BY principal, event_source, event_name
)
SELECT
    t.principal, t.account_id, t.burst, count_if(t.outcome = 'denied') AS denied, count_if(t.dry_run) AS dry_runs,
    count(DISTINCT t.event_name) AS distinct_calls, array_agg(DISTINCT t.event_name ORDER BY t.event_name) AS calls,
    array_agg(DISTINCT t.wanted ORDER BY t.wanted) FILTER (WHERE t.wanted IS NOT NULL) AS wanted,
    array_agg(DISTINCT a.event_name ORDER BY a.event_name) FILTER (WHERE a.last_allowed > t.event_time) AS allowed_later,
    array_agg(DISTINCT a.allowed_event_id ORDER BY a.allowed_event_id) FILTER (WHERE a.last_allowed > t.event_time) AS allowed_event_ids,
    array_agg(DISTINCT t.source_ip ORDER BY t.source_ip) AS addresses, array_agg(DISTINCT t.access_key_id ORDER BY t.access_key_id) AS access_keys,
    CASE WHEN bool_or(contains(:keys, t.access_key_id)) THEN 'key' WHEN contains(:principals, t.principal) THEN 'principal' END AS suspect,
    min(t.event_time) AS first_seen, max(t.event_time) AS last_seen,
    slice(array_agg(t.event_id ORDER BY t.event_time, t.event_id), 1, 50) AS event_ids
FROM tried t
LEFT JOIN allowed a ON a.principal = t.principal AND a.event_source = t.event_source AND a.event_name = t.event_name
WHERE t.outcome = 'denied' OR t.dry_run
GROUP BY t.principal, t.account_id, t.burst
HAVING count(*) >= CAST(:minimum AS bigint)
ORDER BY denied DESC, first_seen, t.principal
