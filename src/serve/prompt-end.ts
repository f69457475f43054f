/** How much of a prompt's end is told: whether it opens thoughts is seen there. */
const END_LENGTH = 200;
/** The end of a prompt. */
export const endOf = (prompt: string): string => prompt.slice(-END_LENGTH);
