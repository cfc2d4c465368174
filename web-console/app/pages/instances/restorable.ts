/** Until when a deleted instance can be restored. */
export const RESTORABLE_DAYS = 7;

export function restorableUntil(deletedAt: string | Date): Date {
  return new Date(new Date(deletedAt).getTime() + RESTORABLE_DAYS * 86_400_000);
}
