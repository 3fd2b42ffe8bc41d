// A lane for each build: a policy in C.
//
// Jobs of one invocation of the build tool share a lane, so that bots are divided among builds and not among jobs:
// one build with ten thousand actions leaves another its half. Inside a build REAPI's priority decides, then age.
//
// `policy.h` is written from the contract when this is built. A function owns its argument and its result's memory
// belongs to the caller, who frees it after the call.

#include "policy.h"

#include <stdlib.h>

typedef exports_berth_policy_priority_jobs_t jobs_t;
typedef exports_berth_policy_priority_places_t places_t;

void exports_berth_policy_priority_place(jobs_t *jobs, places_t *places) {
    *places = (places_t){0};

    // A lane is named by an index into the texts of the question, as invocations are: the column is handed on as it
    // is. Jobs without an invocation share the default lane, which the empty text names.
    places->lane.is_some = true;
    places->lane.val = jobs->invocation;
    jobs->invocation = (policy_list_u32_t){0};

    size_t count = jobs->priority.len;
    int64_t *ranks = malloc(count * sizeof *ranks);
    for (size_t n = 0; n < count; n++) ranks[n] = jobs->priority.ptr[n];
    places->rank.is_some = true;
    places->rank.val = (policy_list_s64_t){ranks, count};

    exports_berth_policy_priority_jobs_free(jobs);
}

// There is nothing to configure, and Berth holds the configuration to that.
void exports_berth_policy_about_config_schema(policy_string_t *schema) {
    policy_string_dup(schema, "{\"type\": \"object\", \"additionalProperties\": false}");
}

static const char cases[] = {
#embed "cases.toml"
};

void exports_berth_policy_about_examples(policy_string_t *examples) {
    policy_string_dup_n(examples, cases, sizeof cases);
}
