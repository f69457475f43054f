/** Names that would lead elsewhere, or that some system does not take. */
export const hostileNames: readonly string[] = [
  ...["", ".", "..", "../x", "a/b", "a\\b", "/", "/etc", "C:", "C:\\x", "a\0b", "a\nb", "con", "NUL.txt", "com1", "a.", "a ", " a", "-rf"],
  ...["a*", "a?", '"', "<a>", "a|b", "my.lock", "my.before-restart", "my.tmp", "my.old", "x".repeat(201), "龙".repeat(70), "\ud800"],
];
