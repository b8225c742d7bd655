/* Headline: what a plan says, in a few sentences. */
#ifndef RUB_PLAN_HEADLINE_H
#define RUB_PLAN_HEADLINE_H

#include <jansson.h>

/* Sentences drawn from a plan document. New reference. */
json_t *rub_headline(const json_t *document);

#endif
