-- question: Was data read: objects, secrets, parameters, tables, snapshots, code?
-- why: it decides whom to notify; the volume is in bytesTransferredOut where data events are recorded
-- technique: T1530
-- false positives: applications read their own data all day; no row is no proof: object reads are seen only where data events are on
WITH acts AS (
    SELECT
        events.*,
        CASE
            WHEN event_source = 's3.amazonaws.com' AND event_name IN ('GetObject', 'HeadObject', 'ListObjects', 'ListObjectsV2', 'CopyObject', 'SelectObjectContent', 'GetObjectTorrent') THEN 'object'
            WHEN event_source = 'secretsmanager.amazonaws.com' AND event_name IN ('GetSecretValue', 'BatchGetSecretValue') THEN 'secret'
            WHEN event_source = 'ssm.amazonaws.com' AND event_name IN ('GetParameter', 'GetParameters', 'GetParametersByPath', 'GetParameterHistory') THEN 'parameter'
            WHEN event_source = 'kms.amazonaws.com' AND event_name = 'Decrypt' THEN 'decryption'
            WHEN event_source = 'dynamodb.amazonaws.com' AND event_name IN ('Scan', 'Query', 'BatchGetItem', 'GetItem', 'ExportTableToPointInTime', 'ExecuteStatement') THEN 'table'
            WHEN event_source IN ('rds.amazonaws.com', 'ec2.amazonaws.com') AND event_name IN ('CreateDBSnapshot', 'CopyDBSnapshot', 'CreateDBClusterSnapshot', 'CreateSnapshot', 'CreateSnapshots', 'CopySnapshot') THEN 'snapshot'
            WHEN event_source IN ('rds-data.amazonaws.com', 'redshift-data.amazonaws.com', 'athena.amazonaws.com') AND event_name IN ('ExecuteStatement', 'BatchExecuteStatement', 'StartQueryExecution', 'GetQueryResults') THEN 'query'
            WHEN event_source = 'lambda.amazonaws.com' AND event_name = 'GetFunction' THEN 'code'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name = 'DescribeInstanceAttribute' AND request LIKE '%userData%' THEN 'user data'
            WHEN event_source = 'ecr.amazonaws.com' AND event_name IN ('BatchGetImage', 'GetDownloadUrlForLayer') THEN 'image'
            WHEN event_source = 'ebs.amazonaws.com' AND event_name IN ('GetSnapshotBlock', 'ListSnapshotBlocks', 'ListChangedBlocks') THEN 'disk block'
        END AS what
    FROM events
    WHERE outcome = 'ok' AND event_time BETWEEN :start AND :end AND (contains(:keys, access_key_id) OR contains(:principals, principal))
      AND contains(:accounts, account_id) AND contains(:regions, region)
)
SELECT
    principal, access_key_id, account_id, region, what, event_name,
    COALESCE(
        concat(json_extract_scalar(request, '$.bucketName'), '/', COALESCE(json_extract_scalar(request, '$.key'), '')), json_extract_scalar(request, '$.secretId'),
        json_extract_scalar(request, '$.name'), json_extract_scalar(request, '$.tableName'), json_extract_scalar(request, '$.functionName'),
        json_extract_scalar(request, '$.snapshotId'), json_extract_scalar(request, '$.instanceId'), json_extract_scalar(request, '$.repositoryName'),
        json_extract_scalar(request, '$.volumeId'), element_at(transform(resources, r -> r.arn), 1)
    ) AS target,
    source_ip, CASE WHEN contains(:keys, access_key_id) THEN 'key' ELSE 'principal' END AS suspect, count(*) AS events, sum(TRY_CAST(json_extract_scalar(additional, '$.bytesTransferredOut') AS double)) AS bytes_out,
    min(event_time) AS first_seen, max(event_time) AS last_seen, slice(array_agg(event_id ORDER BY event_time, event_id), 1, 20) AS event_ids
FROM acts
WHERE what IS NOT NULL
GROUP BY
    principal, access_key_id, account_id, region, what, event_name, source_ip,
    COALESCE(
        concat(json_extract_scalar(request, '$.bucketName'), '/', COALESCE(json_extract_scalar(request, '$.key'), '')), json_extract_scalar(request, '$.secretId'),
        json_extract_scalar(request, '$.name'), json_extract_scalar(request, '$.tableName'), json_extract_scalar(request, '$.functionName'),
        json_extract_scalar(request, '$.snapshotId'), json_extract_scalar(request, '$.instanceId'), json_extract_scalar(request, '$.repositoryName'),
        json_extract_scalar(request, '$.volumeId'), element_at(transform(resources, r -> r.arn), 1)
    )
ORDER BY suspect, first_seen, what, target
