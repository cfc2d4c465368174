/** What a new password must be like; the service checks it again. */
import type { FormRule } from 'antd';
import { useTranslation } from 'react-i18next';

export const PASSWORD_CHARS_MIN = 12;

/** Rules for the field of the new password and for the one that repeats it. */
export function useNewPasswordRules(field: string): { first: FormRule[]; again: FormRule[] } {
  const { t } = useTranslation('signIn');
  return {
    first: [
      { required: true, message: t('passwordRequired') },
      { min: PASSWORD_CHARS_MIN, message: t('passwordShort', { count: PASSWORD_CHARS_MIN }) },
    ],
    again: [
      { required: true, message: t('repeatRequired') },
      ({ getFieldValue }) => ({
        validator: (_, value: string) =>
          value === getFieldValue(field) || !value ? Promise.resolve() : Promise.reject(new Error(t('repeatDiffers'))),
      }),
    ],
  };
}
