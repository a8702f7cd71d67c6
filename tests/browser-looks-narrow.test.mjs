// The page on the narrowest phone there is, 320 pixels, in the states of a conversation.

import { looksOn } from "./harness/looks.mjs";
import { TALKING } from "./harness/states.mjs";

looksOn("narrow phone", TALKING);
