-- question: What else did the same session do?
-- why: the console takes a new key for each request, so a session is more than its keys: principal id and creation time hold it together
-- technique: T1078.004
-- false positives: two networks under one session are two holders, the owner's and the thief's: compare the addresses
WITH sessions AS (
    SELECT DISTINCT principal_id, session_created
    FROM events
    WHERE contains(:keys, access_key_id) AND session_created IS NOT NULL AND principal_id IS NOT NULL AND event_time BETWEEN :start AND :end
)
SELECT
    e.event_time, e.event_id, e.account_id, e.region, e.event_source, e.event_name, e.outcome, e.principal, e.session_name, e.session_created,
    e.access_key_id, COALESCE(contains(:keys, e.access_key_id), false) AS suspect_key, e.source_ip, e.source_network, e.user_agent_family,
    e.from_console, e.error_code, e.request
FROM events e
LEFT JOIN sessions s ON s.principal_id = e.principal_id AND s.session_created = e.session_created
WHERE (contains(:keys, e.access_key_id) OR s.principal_id IS NOT NULL) AND e.event_time BETWEEN :start AND :end
  AND contains(:accounts, e.account_id) AND contains(:regions, e.region)
ORDER BY e.event_time, e.event_id
