-- question: Was data taken out of the account: shared, exported, replicated?
-- why: a snapshot shared with another account is gone within minutes, and its copy there can no longer be taken back; an exported mailbox lies in a bucket, for whoever may read that
-- technique: T1537, T1114
-- false positives: backup accounts and vendors: know their account ids; images published on purpose
WITH acts AS (
    SELECT
        events.*,
        CASE
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('ModifySnapshotAttribute', 'ModifyImageAttribute') AND regexp_like(request, '"add"') THEN 'shared'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name = 'SharedSnapshotCopyInitiated' THEN 'copied by another account'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name = 'SharedSnapshotVolumeCreated' THEN 'used by another account'
            WHEN event_source = 'rds.amazonaws.com' AND event_name IN ('ModifyDBSnapshotAttribute', 'ModifyDBClusterSnapshotAttribute') AND regexp_like(request, '"valuesToAdd"') THEN 'shared'
            WHEN event_source = 's3.amazonaws.com' AND event_name IN ('PutBucketPolicy', 'PutBucketAcl', 'PutObjectAcl', 'PutBucketReplication', 'PutAccessPointPolicy', 'DeletePublicAccessBlock', 'PutBucketPublicAccessBlock') THEN 'opened'
            WHEN event_source = 's3control.amazonaws.com' AND event_name IN ('CreateJob', 'PutAccessPointPolicy', 'DeletePublicAccessBlock') THEN 'opened'
            WHEN event_source IN ('ec2.amazonaws.com', 'rds.amazonaws.com', 'dynamodb.amazonaws.com', 'logs.amazonaws.com') AND event_name IN ('CreateInstanceExportTask', 'CreateStoreImageTask', 'ExportImage', 'StartExportTask', 'ExportTableToPointInTime', 'CreateExportTask') THEN 'exported'
            WHEN event_source = 'ec2.amazonaws.com' AND event_name IN ('CopySnapshot', 'CopyImage') AND json_extract_scalar(request, '$.sourceRegion') <> region THEN 'copied to another Region'
            WHEN event_source = 'fsx.amazonaws.com' AND event_name = 'CreateDataRepositoryTask' THEN 'exported'
            WHEN event_source = 'workmail.amazonaws.com' AND event_name = 'StartMailboxExportJob' THEN 'mailbox exported'
            WHEN event_source = 'datasync.amazonaws.com' AND event_name IN ('CreateTask', 'StartTaskExecution') THEN 'exported'
            WHEN event_source IN ('ecr.amazonaws.com', 'secretsmanager.amazonaws.com', 'lambda.amazonaws.com', 'sns.amazonaws.com', 'sqs.amazonaws.com', 'backup.amazonaws.com')
                AND event_name IN ('SetRepositoryPolicy', 'PutResourcePolicy', 'AddLayerVersionPermission', 'AddPermission', 'SetTopicAttributes', 'SetQueueAttributes', 'PutBackupVaultAccessPolicy') THEN 'opened'
        END AS how
    FROM events
    WHERE outcome = 'ok' AND event_time BETWEEN :start AND :end AND contains(:accounts, account_id) AND contains(:regions, region)
)
SELECT
    event_time, event_id, account_id, region, principal, access_key_id, source_ip, event_source, event_name, how,
    COALESCE(
        json_extract_scalar(request, '$.snapshotId'), json_extract_scalar(request, '$.imageId'), json_extract_scalar(request, '$.dBSnapshotIdentifier'),
        json_extract_scalar(request, '$.dBClusterSnapshotIdentifier'), json_extract_scalar(request, '$.bucketName'), json_extract_scalar(request, '$.sourceSnapshotId'),
        json_extract_scalar(request, '$.instanceId'), json_extract_scalar(request, '$.tableArn'), json_extract_scalar(request, '$.functionName'),
        json_extract_scalar(request, '$.entityId')
    ) AS target,
    -- everyone whom one call lets in
    NULLIF(array_join(filter(transform(TRY_CAST(COALESCE(
        json_extract(request, '$.createVolumePermission.add.items'), json_extract(request, '$.launchPermission.add.items'), json_extract(request, '$.valuesToAdd')
    ) AS ARRAY(JSON)), one -> COALESCE(
        json_extract_scalar(one, '$.userId'), json_extract_scalar(one, '$.group'), json_extract_scalar(one, '$.organizationArn'),
        json_extract_scalar(one, '$.organizationalUnitArn'), json_extract_scalar(one, '$')
    )), one -> one IS NOT NULL), ', '), '') AS shared_with,
    -- where an export goes, and the role that writes it there
    COALESCE(
        json_extract_scalar(request, '$.s3BucketName'), json_extract_scalar(request, '$.s3Bucket'), json_extract_scalar(request, '$.exportToS3.s3Bucket'),
        json_extract_scalar(request, '$.s3ExportLocation.s3Bucket'), json_extract_scalar(request, '$.CreateStoreImageTaskRequest.Bucket'),
        json_extract_scalar(request, '$.destination')
    ) AS to_bucket,
    COALESCE(json_extract_scalar(request, '$.roleArn'), json_extract_scalar(request, '$.iamRoleArn'), json_extract_scalar(request, '$.roleName')) AS by_role,
    CASE WHEN contains(:keys, access_key_id) THEN 'key' WHEN contains(:principals, principal) THEN 'principal' END AS suspect,
    request
FROM acts
WHERE how IS NOT NULL
ORDER BY event_time, event_id
