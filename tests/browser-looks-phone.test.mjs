// The page on a phone, in the states of a conversation.

import { looksOn } from "./harness/looks.mjs";
import { TALKING } from "./harness/states.mjs";

looksOn("phone", TALKING);
