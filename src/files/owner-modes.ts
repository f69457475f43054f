/** Rights of what holds data of users or keys: its owner's alone. */
export const ownerModes = { file: 0o600, folder: 0o700 } as const;
