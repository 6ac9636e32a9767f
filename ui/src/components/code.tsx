'use client'
import { useEffect, useState } from 'react'
import { Icon } from './icons'

/** Text to take away: a command, or YAML. Shown as it is, never as markup. */
export function Code({ text, label }: { text: string; label: string }) {
  return (
    <div className="relative rounded-lg border border-line bg-sunken">
      <pre
        tabIndex={0}
        aria-label={label}
        className="max-h-80 overflow-auto p-3 pr-12 font-mono text-[0.8125rem] leading-relaxed whitespace-pre-wrap"
      >
        {text}
      </pre>
      <CopyButton text={text} label={`Copy: ${label}`} className="absolute top-1.5 right-1.5" />
    </div>
  )
}

/** A command in one line. */
export function Command({ text, label }: { text: string; label: string }) {
  return (
    <div className="flex max-w-full items-center gap-1 rounded-lg border border-line bg-surface py-1 pr-1 pl-3 text-text">
      <code className="min-w-0 flex-1 font-mono text-[0.8125rem]">{text}</code>
      <CopyButton text={text} label={label} />
    </div>
  )
}

export function CopyButton({ text, label, className = '' }: { text: string; label: string; className?: string }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 1_500)
    return () => clearTimeout(timer)
  }, [copied])
  return (
    <button
      type="button"
      aria-label={copied ? 'Copied' : label}
      title={copied ? 'Copied' : label}
      onClick={() => void copy(text).then(setCopied)}
      className={`inline-grid size-8 shrink-0 place-items-center rounded-md bg-inherit text-muted hover:bg-hover hover:text-text ${className}`}
    >
      <Icon name={copied ? 'done' : 'copy'} className={`size-4 ${copied ? 'text-ok' : ''}`} />
    </button>
  )
}

/** The clipboard is closed to pages that are neither on localhost nor encrypted; the old way still works there. */
async function copy(text: string): Promise<boolean> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false)
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  return done
}
