-- question: Which Regions are new for an account?
-- why: mining and hidden resources go where nobody looks; the first call in a Region without history is an early sign
-- technique: T1535
-- false positives: the console and Resource Explorer ask every Region for what it holds: look at writes before reads
WITH used AS (
    SELECT
        account_id, event_time, event_id, principal, access_key_id, event_name, read_only, outcome,
        -- the call that opens an opt-in Region is made elsewhere
        CASE WHEN event_name = 'EnableRegion' THEN COALESCE(json_extract_scalar(request, '$.RegionName'), json_extract_scalar(request, '$.regionName'), region)
             ELSE region END AS region
    FROM events
    WHERE event_time BETWEEN :baseline_start AND :end AND contains(:accounts, account_id)
      -- services without a Region of their own record theirs as us-east-1
      AND NOT (region = 'us-east-1' AND event_name <> 'EnableRegion' AND event_source IN (
          'iam.amazonaws.com', 'sts.amazonaws.com', 'organizations.amazonaws.com', 'cloudfront.amazonaws.com', 'route53.amazonaws.com',
          'route53domains.amazonaws.com', 'signin.amazonaws.com', 'support.amazonaws.com', 'health.amazonaws.com', 'globalaccelerator.amazonaws.com',
          'ce.amazonaws.com', 'budgets.amazonaws.com', 'billing.amazonaws.com', 'billingconsole.amazonaws.com', 'account.amazonaws.com',
          'shield.amazonaws.com', 'trustedadvisor.amazonaws.com', 'tax.amazonaws.com', 'waf.amazonaws.com', 'artifact.amazonaws.com'))
      AND COALESCE(principal, '') NOT LIKE 'resource-explorer%'
),
past AS (SELECT DISTINCT account_id, region FROM used WHERE event_time < :baseline_end)
SELECT
    u.account_id, u.region, u.principal,
    count(*) AS events, count_if(u.read_only = false AND u.outcome = 'ok') AS writes, count_if(u.outcome = 'denied') AS denied,
    min(u.event_time) AS first_seen, max(u.event_time) AS last_seen,
    array_agg(DISTINCT u.event_name ORDER BY u.event_name) AS calls, CASE WHEN bool_or(contains(:keys, u.access_key_id)) THEN 'key' WHEN contains(:principals, u.principal) THEN 'principal' END AS suspect,
    slice(array_agg(u.event_id ORDER BY u.event_time, u.event_id), 1, 20) AS event_ids
FROM used u
LEFT JOIN past p ON p.account_id = u.account_id AND p.region = u.region
WHERE p.region IS NULL AND u.event_time BETWEEN :start AND :end
GROUP BY u.account_id, u.region, u.principal
ORDER BY writes DESC, first_seen, u.region
