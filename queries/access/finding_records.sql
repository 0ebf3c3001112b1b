-- question: Is each finding true: which records does it stand for?
-- why: a finding shows only the latest of what it aggregated; the record is the evidence, and a finding without one is a gap
-- technique: T1078.004
-- false positives: sample findings; records that are not collected, because they lie in another account, Region or data event
WITH asked AS (
    SELECT
        *, COALESCE(first_seen, created_at) AS seen_from, COALESCE(last_seen, updated_at, first_seen, created_at) AS seen_to,
        -- Security Hub repeats what GuardDuty found, under the same id
        row_number() OVER (PARTITION BY finding_id ORDER BY CASE WHEN form = 'guardduty' THEN 0 ELSE 1 END, updated_at DESC, source_object, source_position) AS copy
    FROM findings
    -- a control that failed is a state, not an act
    WHERE control_id IS NULL AND compliance_status IS NULL AND COALESCE(last_seen, updated_at, first_seen, created_at) >= :start AND COALESCE(first_seen, created_at) <= :end
      AND contains(:accounts, account_id)
),
matched AS (
    SELECT f.finding_id, 'call' AS matched_by, e.event_id, e.account_id
    FROM asked f
    JOIN events e ON e.event_name = f.api_name AND e.account_id = f.account_id
    WHERE f.copy = 1 AND (f.api_service IS NULL OR e.event_source = f.api_service)
      AND (f.access_key_id IS NULL OR e.access_key_id = f.access_key_id)
      AND (f.principal_id IS NULL OR f.access_key_id IS NOT NULL OR e.principal_id = f.principal_id)
      AND e.event_time BETWEEN f.seen_from - INTERVAL '5' MINUTE AND f.seen_to + INTERVAL '5' MINUTE
    UNION ALL
    SELECT f.finding_id, 'key' AS matched_by, e.event_id, e.account_id
    FROM asked f
    JOIN events e ON e.access_key_id = f.access_key_id AND e.account_id = f.account_id
    WHERE f.copy = 1 AND f.api_name IS NULL
      AND e.event_time BETWEEN f.seen_from - INTERVAL '5' MINUTE AND f.seen_to + INTERVAL '5' MINUTE
    UNION ALL
    SELECT f.finding_id, 'instance' AS matched_by, e.event_id, e.account_id
    FROM asked f
    JOIN events e ON e.session_name = f.instance_id AND e.account_id = f.account_id
    WHERE f.copy = 1 AND f.api_name IS NULL AND f.access_key_id IS NULL
      AND e.event_time BETWEEN f.seen_from - INTERVAL '5' MINUTE AND f.seen_to + INTERVAL '5' MINUTE
)
SELECT
    f.finding_id, f.type, f.severity, f.sample, f.seen_from, f.seen_to, f.count AS aggregated,
    COALESCE(m.matched_by, 'no record') AS matched_by,
    e.event_time, e.event_id, f.account_id, e.region, e.event_source, e.event_name, e.outcome,
    e.principal, e.access_key_id, e.source_ip, contains(f.remote_ips, e.source_ip) AS same_address, e.user_agent, e.resources
FROM asked f
LEFT JOIN matched m ON m.finding_id = f.finding_id
LEFT JOIN events e ON e.event_id = m.event_id AND e.account_id = m.account_id
WHERE f.copy = 1
ORDER BY f.seen_from, f.finding_id, e.event_time, e.event_id
