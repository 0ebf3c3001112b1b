-- question: Who uses the suspect roles and keys legitimately, and would be stopped by containing them?
-- why: containment breaks whatever else lives on the credential; those who run it must know before, not after
-- technique: T1078.004
-- false positives: a thief who was there before the baseline looks like a user: check networks that only one principal has
SELECT
    principal, principal_type,
    -- a session name that differs only in its number is one system
    regexp_replace(session_name, '[0-9a-f]{8,}|\d+', '*') AS session_pattern,
    account_id, source_network, user_agent_family, invoked_by,
    count(*) AS events, count(DISTINCT event_source) AS services, array_agg(DISTINCT event_source ORDER BY event_source) AS service_list,
    count(DISTINCT date_trunc('day', event_time)) AS days, min(hour(event_time)) AS earliest_hour, max(hour(event_time)) AS latest_hour,
    min(event_time) AS first_seen, max(event_time) AS last_seen,
    slice(array_agg(event_id ORDER BY event_time, event_id), 1, 20) AS event_ids
FROM events
WHERE (contains(:principals, principal) OR contains(:keys, access_key_id)) AND event_time >= :baseline_start AND event_time < :baseline_end
  AND outcome = 'ok' AND contains(:accounts, account_id)
GROUP BY principal, principal_type, regexp_replace(session_name, '[0-9a-f]{8,}|\d+', '*'), account_id, source_network, user_agent_family, invoked_by
ORDER BY events DESC, principal, session_pattern
