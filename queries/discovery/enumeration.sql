-- question: Who looked around: many different reading calls in a few minutes?
-- why: whoever does not know the account asks for it; the first calls with a new credential are of this kind
-- technique: T1087.004
-- false positives: a console page makes dozens of reading calls; inventory and posture tools do it every hour
-- default: minimum = 10
SELECT
    principal, access_key_id, account_id, from_unixtime(floor(to_unixtime(event_time) / 600) * 600) AS ten_minutes,
    count(*) AS events, count(DISTINCT concat(event_source, ':', event_name)) AS distinct_calls, count(DISTINCT region) AS regions,
    count_if(outcome = 'denied') AS denied, count_if(from_console) AS from_console,
    bool_or(event_name IN ('GetCallerIdentity', 'GetAccountAuthorizationDetails', 'GetSendQuota', 'ListFoundationModels', 'SimulatePrincipalPolicy')) AS tell_tale,
    array_agg(DISTINCT event_name ORDER BY event_name) AS calls, array_agg(DISTINCT source_ip ORDER BY source_ip) AS addresses,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS suspect,
    min(event_time) AS first_seen, max(event_time) AS last_seen,
    slice(array_agg(event_id ORDER BY event_time, event_id), 1, 50) AS event_ids
FROM events
WHERE event_time BETWEEN :start AND :end AND principal_type <> 'AWSService' AND invoked_by IS NULL
  AND regexp_like(event_name, '^(List|Describe|Get|Search|Lookup|Scan|Head|Simulate|BatchGet)') AND contains(:accounts, account_id) AND contains(:regions, region)
GROUP BY principal, access_key_id, account_id, from_unixtime(floor(to_unixtime(event_time) / 600) * 600)
HAVING count(DISTINCT concat(event_source, ':', event_name)) >= CAST(:minimum AS bigint)
ORDER BY distinct_calls DESC, first_seen
