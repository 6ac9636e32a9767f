'use client'
/** The fields of a form: a label, what it is for, and what is wrong with it, tied together for every reader. */
import { useId, useState } from 'react'
import { Icon } from './icons'

interface Shared {
  name: string
  label: string
  value: string
  help?: string
  error?: string
  required?: boolean
  onChange: (value: string) => void
  onLeave?: () => void
}

const BOX =
  'w-full rounded-lg border border-edge bg-bg px-3 aria-invalid:border-bad-fill aria-invalid:outline-1 aria-invalid:outline-bad-fill ' +
  'focus-visible:outline-2 focus-visible:outline-offset-0 focus-visible:outline-accent focus-visible:rounded-lg'

function useTies({ help, error }: Shared) {
  const id = useId()
  const ties = [help && `${id}-help`, error && `${id}-error`].filter(Boolean).join(' ')
  return { id, tied: { id, 'aria-invalid': error ? true : undefined, 'aria-describedby': ties || undefined } as const }
}

function Label({ id, label, required }: { id: string; label: string; required?: boolean }) {
  return (
    <label htmlFor={id} className="mb-1.5 block text-sm font-medium">
      {label}
      {required && (
        <span aria-hidden="true" className="ml-1.5 font-normal text-muted">
          required
        </span>
      )}
    </label>
  )
}

function Help({ id, text }: { id: string; text?: string }) {
  return text ? (
    <p id={id} className="mt-1.5 text-sm text-muted">
      {text}
    </p>
  ) : null
}

function FieldError({ id, text }: { id: string; text?: string }) {
  return (
    <div aria-live="polite">
      {text && (
        <p id={id} className="mt-1.5 flex gap-1.5 text-sm text-bad">
          <Icon name="alert" className="mt-0.5 size-4" />
          <span className="min-w-0">{text}</span>
        </p>
      )}
    </div>
  )
}

export const Field = { Error: FieldError }

interface TextProps extends Shared {
  placeholder?: string
  /** More than one: a field for text of many lines. */
  lines?: number
  code?: boolean
  secret?: boolean
}

export function TextField({ placeholder, lines = 1, code, secret, ...field }: TextProps) {
  const { id, tied } = useTies(field)
  const [isShown, setIsShown] = useState(false)
  const shared = {
    ...tied,
    name: field.name,
    value: field.value,
    placeholder,
    required: field.required,
    spellCheck: false,
    autoCapitalize: 'off',
    onBlur: field.onLeave,
  }
  return (
    <div>
      <Label id={id} label={field.label} required={field.required} />
      <div className="relative">
        {lines > 1 ? (
          <textarea
            {...shared}
            rows={lines}
            autoComplete="off"
            onChange={(event) => field.onChange(event.target.value)}
            className={`${BOX} block min-h-20 resize-y py-2 font-mono text-sm`}
          />
        ) : (
          <input
            {...shared}
            type={secret && !isShown ? 'password' : 'text'}
            autoComplete={secret ? 'new-password' : 'off'}
            onChange={(event) => field.onChange(event.target.value)}
            className={`${BOX} h-10 ${code || secret ? 'font-mono text-sm' : ''} ${secret ? 'pr-20' : ''}`}
          />
        )}
        {secret && field.value && (
          <button
            type="button"
            aria-pressed={isShown}
            onClick={() => setIsShown(!isShown)}
            className="absolute top-1.5 right-1.5 h-7 rounded-md px-2 text-sm text-muted hover:bg-sunken hover:text-text"
          >
            {isShown ? 'Hide' : 'Show'}
          </button>
        )}
      </div>
      <FieldError id={`${id}-error`} text={field.error} />
      <Help id={`${id}-help`} text={field.help} />
    </div>
  )
}

export function SelectField({ options, ...field }: Shared & { options: readonly string[] }) {
  const { id, tied } = useTies(field)
  return (
    <div>
      <Label id={id} label={field.label} required={field.required} />
      <select
        {...tied}
        name={field.name}
        value={field.value}
        onBlur={field.onLeave}
        onChange={(event) => field.onChange(event.target.value)}
        className={`${BOX} h-10 max-w-60`}
      >
        {options.map((option) => (
          <option key={option} value={option}>
            {option}
          </option>
        ))}
      </select>
      <FieldError id={`${id}-error`} text={field.error} />
      <Help id={`${id}-help`} text={field.help} />
    </div>
  )
}

/** Its value is the text true or false. */
export function CheckField(field: Shared) {
  const { id, tied } = useTies(field)
  return (
    <div className="flex gap-2.5">
      <input
        {...tied}
        type="checkbox"
        name={field.name}
        checked={field.value === 'true'}
        onBlur={field.onLeave}
        onChange={(event) => field.onChange(String(event.target.checked))}
        className="mt-1 size-4 shrink-0 accent-accent-fill"
      />
      <div className="min-w-0">
        <label htmlFor={id} className="text-sm font-medium">
          {field.label}
        </label>
        <FieldError id={`${id}-error`} text={field.error} />
        <Help id={`${id}-help`} text={field.help} />
      </div>
    </div>
  )
}
