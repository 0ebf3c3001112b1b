-- question: Was anything destroyed, encrypted or made impossible to restore?
-- why: it decides what must be rebuilt first, and what can still be saved: a key's deletion can be cancelled for days
-- technique: T1485
-- false positives: pipelines and tests delete what they made: look at who made it, and at production
WITH acts AS (
    SELECT
        events.*,
        CASE
            WHEN event_source = 'kms.amazonaws.com' AND event_name IN ('ScheduleKeyDeletion', 'DisableKey', 'DeleteImportedKeyMaterial', 'ReEncrypt') THEN 'key'
            WHEN event_source = 's3.amazonaws.com' AND event_name IN ('PutObject', 'CopyObject') AND (request LIKE '%x-amz-server-side-encryption-customer-algorithm%' OR additional LIKE '%SSE_C%') THEN 'encrypted with a key that AWS does not have'
            WHEN event_source = 's3.amazonaws.com' AND event_name = 'PutBucketVersioning' AND request LIKE '%Suspended%' THEN 'protection removed'
            WHEN event_source = 's3.amazonaws.com' AND event_name IN ('PutBucketLifecycle', 'PutBucketLifecycleConfiguration') THEN 'lifecycle changed'
            WHEN event_source = 'backup.amazonaws.com' AND event_name IN ('DeleteRecoveryPoint', 'DeleteBackupVault', 'DeleteBackupPlan', 'DeleteBackupVaultLockConfiguration', 'UpdateRecoveryPointLifecycle') THEN 'backup'
            WHEN event_name IN ('ModifyDBInstance', 'ModifyDBCluster') AND request LIKE '%"deletionProtection":false%' THEN 'protection removed'
            WHEN regexp_like(event_name, '^(Delete|Terminate|Destroy|Purge|Deregister)') AND read_only = false
                AND event_source NOT IN ('sts.amazonaws.com', 'logs.amazonaws.com', 'ssm.amazonaws.com', 'sqs.amazonaws.com') THEN 'deleted'
        END AS what
    FROM events
    WHERE outcome = 'ok' AND event_time BETWEEN :start AND :end AND invoked_by IS NULL AND contains(:accounts, account_id) AND contains(:regions, region)
)
SELECT
    principal, access_key_id, account_id, region, event_source, event_name, what,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS suspect,
    count(*) AS events, min(event_time) AS first_seen, max(event_time) AS last_seen, array_agg(DISTINCT source_ip ORDER BY source_ip) AS addresses,
    slice(array_agg(event_id ORDER BY event_time, event_id), 1, 50) AS event_ids
FROM acts
WHERE what IS NOT NULL
GROUP BY principal, access_key_id, account_id, region, event_source, event_name, what
ORDER BY suspect, first_seen, event_name
