-- question: Do the findings agree with the logs on how far it goes?
-- why: a finding about nobody suspected widens the scope; a suspect without a finding was seen by nothing but the logs
-- technique: T1078.004
-- false positives: findings are aggregated, kept for 90 days and archived by rules, so that a missing one says little
WITH told AS (
    SELECT *
    FROM (
        SELECT
            *,
            -- Security Hub repeats what GuardDuty found, under the same id
            row_number() OVER (PARTITION BY finding_id, account_id ORDER BY CASE WHEN form = 'guardduty' THEN 0 ELSE 1 END, updated_at DESC, source_object, source_position) AS copy
        FROM findings
        WHERE control_id IS NULL AND compliance_status IS NULL AND NOT COALESCE(sample, false) AND contains(:accounts, account_id)
          AND COALESCE(last_seen, updated_at, first_seen, created_at) >= :start AND COALESCE(first_seen, created_at) <= :end
    ) AS copies
    WHERE copy = 1
),
-- an attack sequence names the keys of all its actors
bearers AS (
    SELECT finding_id, account_id, access_key_id AS bearer FROM told WHERE access_key_id IS NOT NULL
    UNION
    SELECT finding_id, account_id, s.bearer FROM told CROSS JOIN UNNEST(sequence_keys) AS s (bearer)
),
acts AS (
    SELECT b.finding_id, e.principal, e.access_key_id, e.account_id, e.event_time, e.event_id
    FROM bearers b
    JOIN events e ON e.access_key_id = b.bearer
    WHERE e.event_time BETWEEN :start AND :end
    UNION
    SELECT f.finding_id, e.principal, e.access_key_id, e.account_id, e.event_time, e.event_id
    FROM told f
    JOIN events e ON e.principal_id = f.principal_id
    WHERE e.event_time BETWEEN :start AND :end
),
borne AS (
    SELECT
        finding_id, min_by(principal, ROW(event_time, COALESCE(event_id, ''), COALESCE(principal, ''))) AS principal, min_by(event_id, ROW(event_time, COALESCE(event_id, ''))) AS event_id, count(*) AS events,
        bool_or(contains(:principals, principal) OR contains(:keys, access_key_id)) AS by_suspect
    FROM acts
    GROUP BY finding_id
),
suspects AS (
    SELECT principal, access_key_id, account_id, count(*) AS events, min(event_time) AS first_seen, max(event_time) AS last_seen, min_by(event_id, ROW(event_time, COALESCE(event_id, ''))) AS event_id
    FROM events
    WHERE (contains(:keys, access_key_id) OR contains(:principals, principal)) AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id)
    GROUP BY principal, access_key_id, account_id
)
SELECT
    CASE
        WHEN COALESCE(b.by_suspect, false) OR COALESCE(contains(:keys, f.access_key_id), false) OR COALESCE(contains(:instances, f.instance_id), false)
            OR COALESCE(arrays_overlap(f.remote_ips, :addresses), false) OR COALESCE(arrays_overlap(f.sequence_keys, :keys), false) THEN 'agrees'
        ELSE 'finding about no suspect'
    END AS state,
    f.finding_id, f.type, f.severity, f.archived, f.account_id, COALESCE(b.principal, f.principal_name, f.instance_id) AS principal, f.access_key_id,
    COALESCE(f.first_seen, f.created_at) AS first_seen, COALESCE(f.last_seen, f.updated_at) AS last_seen, COALESCE(b.events, 0) AS events, b.event_id
FROM told f
LEFT JOIN borne b ON b.finding_id = f.finding_id
UNION ALL
SELECT
    'suspect without finding', CAST(NULL AS varchar), CAST(NULL AS varchar), CAST(NULL AS double), CAST(NULL AS boolean), s.account_id, s.principal, s.access_key_id,
    s.first_seen, s.last_seen, s.events, s.event_id
FROM suspects s
LEFT JOIN (SELECT DISTINCT principal, COALESCE(access_key_id, '') AS bearer FROM acts) a ON a.principal = s.principal AND a.bearer = COALESCE(s.access_key_id, '')
WHERE a.principal IS NULL
ORDER BY state DESC, first_seen, finding_id, principal, access_key_id
