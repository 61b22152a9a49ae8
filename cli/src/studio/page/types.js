// @ts-check
// What the server answers, for the type checker; the page doesn't load this file.

/** @typedef {"good" | "defective" | null} Label */
/** @typedef {"good" | "review" | "defective" | "error"} Verdict */
/** @typedef {{ x: number, y: number, width: number, height: number }} Rectangle */
/** @typedef {{ path: string, images: number, label: Label }} Folder */

/**
 * @typedef {object} Version
 * @property {number} number
 * @property {number | null} parent
 * @property {string} created
 * @property {string} change
 * @property {string} method
 * @property {number} images
 * @property {number} held_out
 * @property {number} threshold
 * @property {number} review
 * @property {number} typical
 * @property {[number, number] | null} threshold_interval
 * @property {"held_out" | "recalibrated" | "given"} threshold_source
 * @property {number} false_alarm_rate
 * @property {number} review_rate
 * @property {{ count: number, found: number, false_alarm_rate: number } | null} known_defects
 * @property {string} operating_point
 * @property {Rectangle | null} roi
 * @property {Record<string, string>} settings
 * @property {number} model_bytes
 * @property {boolean} scored
 * @property {string[]} warnings
 */

/**
 * @typedef {object} Project
 * @property {string} instance the run of npad studio
 * @property {string} name
 * @property {string} folder
 * @property {string} npad
 * @property {number} revision
 * @property {Folder[]} folders
 * @property {number | null} current
 * @property {Version[]} versions
 * @property {boolean} cameras
 */

/**
 * @typedef {object} Job
 * @property {number} id
 * @property {string} kind
 * @property {string} stage
 * @property {number} done
 * @property {number} total
 * @property {number} seconds
 * @property {number | null} left
 */

/**
 * @typedef {object} Finished
 * @property {number} id
 * @property {string} kind
 * @property {string | null} error
 * @property {string[]} warnings
 * @property {number | null} version
 * @property {{ path: string, error: string }[]} skipped
 */

/** @typedef {{ instance: string, revision: number, job: Job | null, finished: Finished | null }} Status */

/**
 * @typedef {object} Option
 * @property {string} name
 * @property {"integer" | "number" | "choice" | "flags" | "text" | "path"} kind
 * @property {string} default
 * @property {string} range
 * @property {string[] | null} choices
 * @property {string} help
 * @property {string | null} method
 */

/** @typedef {{ methods: string[], options: Option[] }} Options */

/**
 * @typedef {object} ScoredImage
 * @property {string} path
 * @property {string} stamp changes with the file
 * @property {Label} label
 * @property {boolean} marked
 * @property {boolean} learnt
 * @property {number | null} score
 * @property {number | null} calibrated
 * @property {number | null} regions
 * @property {boolean} mask
 * @property {number | null} width
 * @property {number | null} height
 * @property {string | null} error
 */

/**
 * @typedef {object} Images
 * @property {number} version
 * @property {number} threshold
 * @property {number} review
 * @property {number} typical
 * @property {boolean} scored whether any image is
 * @property {number} unscored images without a score of their file as it is now
 * @property {number} marks changes of marks that the version does not know
 * @property {ScoredImage[]} images
 */

/**
 * @typedef {object} LiveImage
 * @property {number} number
 * @property {string} time
 * @property {string} path
 * @property {number | null} version
 * @property {number | null} score
 * @property {number | null} calibrated
 * @property {Verdict} verdict
 * @property {number | null} regions
 * @property {number | null} ms
 * @property {string | null} error
 */

/**
 * @typedef {object} Drift
 * @property {boolean} drifted
 * @property {number} effect
 * @property {number} p_value
 * @property {number} good_median
 * @property {number} recent_median
 * @property {number} above_share
 * @property {number} recent_count
 */

/**
 * @typedef {object} Live
 * @property {boolean} running
 * @property {string | null} source
 * @property {number | null} version null before the first image
 * @property {string | null} error
 * @property {string[]} outputs
 * @property {string[]} output_errors
 * @property {number} count
 * @property {number} good
 * @property {number} review
 * @property {number} defective
 * @property {number} unreadable
 * @property {number} skipped frames that gave way to a newer one, and files that were gone or replaced
 * @property {number} per_second
 * @property {number | null} ms_median
 * @property {LiveImage[]} recent
 * @property {number[]} history
 * @property {Drift | null} drift
 */

/** @typedef {{ cameras: { id: string, name: string }[], error: string | null }} Cameras */

export {};
