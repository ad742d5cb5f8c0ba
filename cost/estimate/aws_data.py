"""Resolvers of pulumi_aws: stores, streams, pipelines, serving, monitoring."""

from __future__ import annotations

from decimal import Decimal

from cost.catalog import HOURS_PER_MONTH
from cost.estimate.bill import Bill, CannotPrice
from cost.estimate.registry import free, resolves

free("settings of a bucket", [f"aws:s3/bucket{name}" for name in (
     "Versioning", "ServerSideEncryption", "Lifecycle", "ObjectLock", "PublicAccess", "Policy",
     "OwnershipControls", "Notification", "Logging", "Cors", "Replication", "Acl", "Metric",
     "Intelligent", "Request", "Accelerate", "Analytics", "Website",
     )] + ["aws:s3/accountPublicAccessBlock:", "aws:s3control/", "aws:s3tables/namespace:",
     "aws:s3tables/tableBucketPolicy:"])  # fmt: skip
free("configuration of a service that is billed by itself", [
     "aws:msk/configuration:", "aws:msk/scramSecretAssociation:", "aws:msk/clusterPolicy:",
     "aws:msk/singleScramSecretAssociation:", "aws:msk/topic:", "aws:mskconnect/customPlugin:",
     "aws:mskconnect/workerConfiguration:", "aws:glue/registry:", "aws:glue/schema:",
     "aws:glue/catalogDatabase:", "aws:glue/dataQualityRuleset:", "aws:ecr/lifecyclePolicy:",
     "aws:ecr/repositoryPolicy:", "aws:ecr/registry", "aws:ecr/replicationConfiguration:",
     "aws:ecr/pullThroughCacheRule:", "aws:kms/alias:", "aws:kms/keyPolicy:", "aws:kms/grant:",
     "aws:secretsmanager/secretVersion:", "aws:secretsmanager/secretPolicy:",
     "aws:secretsmanager/secretRotation:", "aws:sagemaker/model:", "aws:sagemaker/domain:",
     "aws:sagemaker/endpointConfiguration:", "aws:sagemaker/modelPackageGroup:",
     "aws:sagemaker/modelCard:", "aws:sagemaker/pipeline:", "aws:sagemaker/userProfile:",
     "aws:sagemaker/dataQualityJobDefinition:", "aws:lambda/permission:", "aws:lambda/alias:",
     "aws:lambda/eventSourceMapping:", "aws:lambda/layerVersion:", "aws:elasticache/subnetGroup:",
     "aws:elasticache/parameterGroup:", "aws:elasticache/user", "aws:cloudwatch/logStream:",
     "aws:cloudwatch/logResourcePolicy:", "aws:scheduler/scheduleGroup:",
     "aws:cloudwatch/eventRule:", "aws:cloudwatch/eventTarget:",
     "aws:cloudwatch/logMetricFilter:",
     "aws:amp/ruleGroupNamespace:", "aws:amp/alertManagerDefinition:", "aws:grafana/role",
     "aws:grafana/workspaceApiKey:", "aws:appautoscaling/",
     "aws:fsx/dataRepositoryAssociation:", "aws:efs/mountTarget:", "aws:efs/accessPoint:",
     "aws:efs/fileSystemPolicy:", "aws:efs/backupPolicy:", "aws:sns/topicPolicy:",
     "aws:sns/topicSubscription:", "aws:sqs/queuePolicy:", "aws:emrcontainers/virtualCluster:",
     "aws:emrcontainers/jobTemplate:", "aws:signer/",
     "aws:dynamodb/tableItem:", "aws:lakeformation/"])  # fmt: skip


@resolves("aws:msk/cluster:Cluster")
def msk_cluster(bill: Bill) -> None:
    """Brokers by the hour and their provisioned storage."""
    brokers = bill.number("numberOfBrokerNodes")
    kind = bill.text("brokerNodeGroupInfo", "instanceType")
    bill.hourly(f"broker {kind}", f"aws.msk.broker.{kind}", brokers)
    size = ("brokerNodeGroupInfo", "storageInfo", "ebsStorageInfo", "volumeSize")
    if not kind.startswith("express."):
        bill.monthly("broker storage", "aws.msk.storage", brokers * bill.number(*size))


@resolves("aws:msk/serverlessCluster:ServerlessCluster")
def msk_serverless(bill: Bill) -> None:
    """Cluster hours, and partitions and data by use."""
    bill.hourly("serverless cluster", "aws.msk.serverless.cluster")
    bill.usage("partitions", "aws.msk.serverless.partition", "partition_hours", 36_500, "hours")
    bill.usage("data in", "aws.msk.serverless.data_in", "data_in_gib", 100, "GB")


@resolves("aws:mskconnect/connector:Connector")
def msk_connector(bill: Bill) -> None:
    """Connect units by the hour: the provisioned, or the least of autoscaling."""
    fixed = ("capacity", "provisionedCapacity")
    scaled = ("capacity", "autoscaling")
    path = fixed if bill.value(*fixed) else scaled
    workers = bill.number(*path, "workerCount" if path is fixed else "minWorkerCount", default=1)
    bill.hourly(
        "connect units", "aws.mskconnect.mcu", workers * bill.number(*path, "mcuCount", default=1)
    )


@resolves("aws:msk/replicator:Replicator")
def msk_replicator(bill: Bill) -> None:
    """Hours and replicated data."""
    bill.hourly("replicator", "aws.msk.replicator")
    bill.usage("replicated data", "aws.msk.replicator.data", "data_gib", 100, "GB")


@resolves("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
def s3_bucket(bill: Bill) -> None:
    """Everything is use: storage and requests."""
    bill.usage("Standard storage", "aws.s3.standard", "storage_gib", 100, "GB-months")
    bill.usage("PUT, COPY, POST, LIST", "aws.s3.put", "put_thousands", 100, "thousand requests")
    bill.usage("GET, SELECT", "aws.s3.get", "get_thousands", 1000, "thousand requests")


@resolves("aws:s3/directoryBucket:DirectoryBucket")
def s3_express(bill: Bill) -> None:
    """S3 Express One Zone."""
    bill.usage("Express storage", "aws.s3.express", "storage_gib", 100, "GB-months")


@resolves("aws:s3tables/tableBucket:TableBucket", "aws:s3tables/table:Table")
def s3_tables(bill: Bill) -> None:
    """Tables are billed at their bucket."""
    if bill.resource.type.endswith(":Table"):
        bill.free("billed at its table bucket")
    else:
        bill.usage("table storage", "aws.s3.tables", "storage_gib", 100, "GB-months")


@resolves("aws:fsx/lustreFileSystem:LustreFileSystem")
def fsx_lustre(bill: Bill) -> None:
    """Provisioned capacity at the price of its throughput class."""
    media = bill.text("storageType", default="SSD").lower()
    rate = bill.number("perUnitStorageThroughput", default=125)
    kind = bill.text("deploymentType", default="PERSISTENT_2")
    key = f"{media}.{rate:f}" if kind.startswith("PERSISTENT") else "scratch"
    bill.monthly("Lustre capacity", f"aws.fsx.lustre.{key}", bill.number("storageCapacity"))


@resolves("aws:efs/fileSystem:FileSystem")
def efs(bill: Bill) -> None:
    """Storage by use."""
    bill.usage("EFS Standard", "aws.efs.standard", "storage_gib", 100, "GB-months")


@resolves("aws:ecr/repository:Repository")
def ecr(bill: Bill) -> None:
    """Images by size."""
    bill.usage("image storage", "aws.ecr.storage", "storage_gib", 20, "GB-months")


@resolves("aws:mwaa/environment:Environment")
def mwaa(bill: Bill) -> None:
    """The environment; workers and schedulers beyond the first are billed by the hour."""
    size = bill.text("environmentClass", default="mw1.small").removeprefix("mw1.")
    bill.hourly(f"environment {size}", f"aws.mwaa.environment.{size}")
    extra = max(bill.number("minWorkers", default=1) - 1, Decimal(0))
    assumed = extra * HOURS_PER_MONTH
    bill.usage(f"more workers {size}", f"aws.mwaa.worker.{size}", "worker_hours", assumed, "hours")
    more = max(bill.number("schedulers", default=2) - 2, Decimal(0))
    bill.hourly(f"more schedulers {size}", f"aws.mwaa.scheduler.{size}", more)
    bill.usage("metadata database", "aws.mwaa.database", "database_gib", 10, "GB-months")


@resolves("aws:emrserverless/application:Application")
def emr_serverless(bill: Bill) -> None:
    """vCPU and memory by use."""
    bill.usage("vCPU", "aws.emr_serverless.vcpu", "vcpu_hours", 100, "vCPU-hours")
    bill.usage("memory", "aws.emr_serverless.memory", "memory_gib_hours", 400, "GB-hours")


@resolves("aws:glue/job:Job")
def glue_job(bill: Bill) -> None:
    """DPU hours by use."""
    bill.usage("DPU", "aws.glue.dpu", "dpu_hours", 100, "DPU-hours")


@resolves("aws:sagemaker/endpoint:Endpoint")
def sagemaker_endpoint(bill: Bill) -> None:
    """Instances of its configuration's variants; serverless variants by use."""
    config = bill.stack.related(
        bill.resource, "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    )
    if config is None:
        raise CannotPrice("its endpoint configuration isn't in this stack")
    sheet = Bill(config, bill.stack, bill.book, bill.region)
    for path in ("productionVariants", "shadowProductionVariants"):
        for index, variant in enumerate(sheet.items(path)):
            if "serverlessConfig" in variant:
                bill.usage("serverless compute", "aws.sagemaker.serverless", "gib_seconds", 1_000_000,
                           "GB-seconds")  # fmt: skip
                continue
            kind = sheet.text(path, index, "instanceType")
            count = sheet.number(path, index, "initialInstanceCount", default=1)
            bill.hourly(f"hosting {kind}", f"aws.sagemaker.{kind}", count)


@resolves("aws-native:sagemaker:Cluster")
def hyperpod(bill: Bill) -> None:
    """HyperPod: the instances of its groups."""
    for index, _ in enumerate(bill.items("instanceGroups")):
        kind = bill.text("instanceGroups", index, "instanceType")
        count = bill.number("instanceGroups", index, "instanceCount")
        bill.hourly(f"instances {kind}", f"aws.sagemaker.{kind}", count)


@resolves("aws:sagemaker/notebookInstance:NotebookInstance")
def sagemaker_notebook(bill: Bill) -> None:
    """An instance all month."""
    kind = bill.text("instanceType")
    bill.hourly(f"notebook {kind}", f"aws.sagemaker.{kind}")


@resolves("aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer")
def sagemaker_mlflow(bill: Bill) -> None:
    """Hours by size."""
    size = bill.text("trackingServerSize", default="Small").lower()
    bill.hourly(f"tracking server {size}", f"aws.sagemaker.mlflow.{size}")


@resolves("aws:sagemaker/trainingJob:TrainingJob", "aws:sagemaker/featureGroup:FeatureGroup",
          "aws:sagemaker/monitoringSchedule:MonitoringSchedule")  # fmt: skip
def sagemaker_by_use(bill: Bill) -> None:
    """Instance hours by use."""
    kind = bill.text("resourceConfig", "instanceType", default="ml.m5.xlarge")
    bill.usage(f"instance {kind}", f"aws.sagemaker.{kind}", "instance_hours", 100, "hours")


@resolves("aws:lambda/function:Function")
def lambda_function(bill: Bill) -> None:
    """Requests and duration; one million requests of 200 ms are assumed."""
    arch = next(iter(bill.texts("architectures")), "x86_64")
    gib = bill.number("memorySize", default=128) / 1024
    bill.usage("requests", "aws.lambda.requests", "million_requests", 1, "million requests")
    bill.usage(
        "duration", f"aws.lambda.duration.{arch}", "gib_seconds", gib * 200_000, "GB-seconds"
    )


@resolves("aws:elasticache/replicationGroup:ReplicationGroup", "aws:elasticache/cluster:Cluster")
def elasticache(bill: Bill) -> None:
    """Nodes by the hour: shards x (1 + replicas), or the declared number."""
    kind = bill.text("nodeType")
    shards = bill.number("numNodeGroups", default=0)
    if shards:
        nodes = shards * (1 + bill.number("replicasPerNodeGroup", default=0))
    else:
        nodes = bill.number("numCacheClusters", default=bill.number("numCacheNodes", default=1))
    bill.hourly(f"node {kind}", f"aws.elasticache.node.{kind}", nodes)


@resolves("aws:elasticache/serverlessCache:ServerlessCache")
def elasticache_serverless(bill: Bill) -> None:
    """Stored data and processing units by use."""
    bill.usage("stored data", "aws.elasticache.serverless.storage", "gib_hours", 730, "GB-hours")


@resolves("aws:dynamodb/table:Table")
def dynamodb(bill: Bill) -> None:
    """On-demand units and storage by use."""
    if bill.text("billingMode", default="PROVISIONED") == "PROVISIONED":
        bill.hourly("write capacity", "aws.dynamodb.wcu", bill.number("writeCapacity", default=5))
        bill.hourly("read capacity", "aws.dynamodb.rcu", bill.number("readCapacity", default=5))
    else:
        bill.usage("writes", "aws.dynamodb.wru", "million_writes", 1, "million units")
        bill.usage("reads", "aws.dynamodb.rru", "million_reads", 1, "million units")
    bill.usage("storage", "aws.dynamodb.storage", "storage_gib", 10, "GB-months")


@resolves("aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey", "aws:kms/externalKey:ExternalKey")
def kms_key(bill: Bill) -> None:
    """A month for each key, and requests by use."""
    bill.monthly("key", "aws.kms.key", 1)
    bill.usage("requests", "aws.kms.requests", "ten_thousand_requests", 10, "x 10,000 requests")


@resolves("aws:secretsmanager/secret:Secret")
def secret(bill: Bill) -> None:
    """A month for each secret."""
    bill.monthly("secret", "aws.secretsmanager.secret", 1)


@resolves("aws:cloudwatch/logGroup:LogGroup")
def log_group(bill: Bill) -> None:
    """Ingestion and storage by use."""
    bill.usage("ingestion", "aws.logs.ingestion", "ingestion_gib", 10, "GB")
    bill.usage("storage", "aws.logs.storage", "storage_gib", 30, "GB-months")


@resolves("aws:cloudwatch/metricAlarm:MetricAlarm")
def metric_alarm(bill: Bill) -> None:
    """A month for each metric that it watches."""
    queries = [item for item in bill.items("metricQueries") if "metric" in item]
    bill.monthly("alarm metrics", "aws.cloudwatch.alarm", max(len(queries), 1))


@resolves("aws:cloudwatch/dashboard:Dashboard")
def dashboard(bill: Bill) -> None:
    """A month for each."""
    bill.monthly("dashboard", "aws.cloudwatch.dashboard", 1)


@resolves("aws:cloudwatch/compositeAlarm:CompositeAlarm")
def composite_alarm(bill: Bill) -> None:
    """A month for each."""
    bill.monthly("composite alarm", "aws.cloudwatch.composite_alarm", 1)


@resolves("aws:cloudtrail/trail:Trail")
def trail(bill: Bill) -> None:
    """The first copy of management events is free; data events are billed by use."""
    if bill.items("advancedEventSelectors") or bill.items("eventSelectors"):
        bill.usage(
            "data events", "aws.cloudtrail.data_events", "million_events", 1, "million events"
        )
    else:
        bill.free("the first copy of management events is free")


@resolves("aws:cfg/rule:Rule")
def config_rule(bill: Bill) -> None:
    """Evaluations by use."""
    bill.usage("evaluations", "aws.config.evaluations", "thousand_evaluations", 10, "x 1,000")


@resolves("aws:scheduler/schedule:Schedule")
def schedule(bill: Bill) -> None:
    """Invocations by use."""
    bill.usage("invocations", "aws.scheduler.invocations", "million_invocations", 1, "million")


@resolves("aws:amp/workspace:Workspace", "aws:amp/scraper:Scraper")
def prometheus(bill: Bill) -> None:
    """Samples by use; a scraper by the hour."""
    if bill.resource.type.endswith(":Scraper"):
        bill.hourly("scraper", "aws.amp.scraper")
    else:
        bill.usage("samples", "aws.amp.samples", "ten_million_samples", 100, "x 10 million samples")


@resolves("aws:grafana/workspace:Workspace")
def grafana(bill: Bill) -> None:
    """Active users a month."""
    bill.usage("active editors", "aws.grafana.editor", "editors", 5, "users")


@resolves("aws:sns/topic:Topic", "aws:sqs/queue:Queue")
def messages(bill: Bill) -> None:
    """Requests by use."""
    service = bill.resource.type.split(":")[1].split("/")[0]
    bill.usage("requests", f"aws.{service}.requests", "million_requests", 1, "million requests")


@resolves("aws:sfn/stateMachine:StateMachine")
def step_functions(bill: Bill) -> None:
    """State transitions by use."""
    bill.usage("transitions", "aws.sfn.transitions", "thousand_transitions", 100, "x 1,000")
