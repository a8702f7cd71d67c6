// The page on a phone, in its other states.

import { looksOn } from "./harness/looks.mjs";
import { ELSEWHERE } from "./harness/states.mjs";

looksOn("phone", ELSEWHERE);
