"""Which FOCUS service category and subcategory a cloud's service belongs to.

Pairs follow the allowed values of FOCUS 1.2. Keys are lower-case fragments searched in the
service's own name or code, first match wins, so the specific ones come first. A service that
nothing matches is ``Other``, as the specification demands.
"""

from __future__ import annotations

from typing import Final

_OTHER: Final = ("Other", "Other (Other)")

_FRAGMENTS: Final = (
    ("sagemaker", "AI and Machine Learning", "Machine Learning"),
    ("bedrock", "AI and Machine Learning", "Generative AI"),
    ("vertex ai", "AI and Machine Learning", "Machine Learning"),
    ("machine learning", "AI and Machine Learning", "Machine Learning"),
    ("openai", "AI and Machine Learning", "Generative AI"),
    ("cloud tpu", "AI and Machine Learning", "AI Platforms"),
    ("kafka", "Integration", "Messaging"),
    ("msk", "Integration", "Messaging"),
    ("event hub", "Integration", "Messaging"),
    ("eventhub", "Integration", "Messaging"),
    ("pub/sub", "Integration", "Messaging"),
    ("airflow", "Integration", "Workflow Orchestration"),
    ("composer", "Integration", "Workflow Orchestration"),
    ("elasticmapreduce", "Analytics", "Data Processing"),
    ("dataproc", "Analytics", "Data Processing"),
    ("bigquery", "Databases", "Data Warehouses"),
    ("rds", "Databases", "Relational Databases"),
    ("cloud sql", "Databases", "Relational Databases"),
    ("postgresql", "Databases", "Relational Databases"),
    ("kubernetes", "Compute", "Containers"),
    ("amazoneks", "Compute", "Containers"),
    ("container registry", "Compute", "Containers"),
    ("container", "Compute", "Containers"),
    ("ecr", "Compute", "Containers"),
    ("lambda", "Compute", "Serverless Compute"),
    ("cloud run", "Compute", "Serverless Compute"),
    ("functions", "Compute", "Serverless Compute"),
    ("elastic block", "Storage", "Block Storage"),
    ("managed disk", "Storage", "Block Storage"),
    ("file store", "Storage", "File Storage"),
    ("filestore", "Storage", "File Storage"),
    ("elastic file", "Storage", "File Storage"),
    ("fsx", "Storage", "File Storage"),
    ("simple storage", "Storage", "Object Storage"),
    ("amazons3", "Storage", "Object Storage"),
    ("storage", "Storage", "Object Storage"),
    ("nat gateway", "Networking", "Network Routing"),
    ("load balanc", "Networking", "Application Networking"),
    ("elb", "Networking", "Application Networking"),
    ("vpc", "Networking", "Network Infrastructure"),
    ("virtual network", "Networking", "Network Infrastructure"),
    ("networking", "Networking", "Network Infrastructure"),
    ("bandwidth", "Networking", "Network Connectivity"),
    ("data transfer", "Networking", "Network Connectivity"),
    ("dns", "Networking", "Network Routing"),
    ("key vault", "Security", "Secret Management"),
    ("secret", "Security", "Secret Management"),
    ("kms", "Security", "Secret Management"),
    ("cloudwatch", "Management and Governance", "Observability"),
    ("monitor", "Management and Governance", "Observability"),
    ("logging", "Management and Governance", "Observability"),
    ("support", "Management and Governance", "Support"),
    ("virtual machine", "Compute", "Virtual Machines"),
    ("compute", "Compute", "Virtual Machines"),
    ("ec2", "Compute", "Virtual Machines"),
)


def categorise(service: str) -> tuple[str, str]:
    """Category and subcategory of a service by its name or code."""
    lowered = service.lower()
    for fragment, category, subcategory in _FRAGMENTS:
        if fragment in lowered:
            return category, subcategory
    return _OTHER


def category_sql(service_sql: str) -> tuple[str, str]:
    """Two SQL expressions, category and subcategory, of the service named by ``service_sql``."""
    whens = [
        (f"WHEN contains(lower({service_sql}), '{fragment}') THEN '{{}}'", pair)
        for fragment, *pair in _FRAGMENTS
    ]
    cases = [
        "CASE "
        + " ".join(when.format(pair[i]) for when, pair in whens)
        + f" ELSE '{_OTHER[i]}' END"
        for i in (0, 1)
    ]
    return cases[0], cases[1]
