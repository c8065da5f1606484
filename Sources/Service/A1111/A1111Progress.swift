import Engine

/// Progress of requests in A1111's format. Pure.
struct A1111Progress {
    let batches: [A1111Sessions.Batch]
    /// Progress of the job that is being rendered; nil if it is not one of these.
    let running: JobProgress?
    /// The current estimate of that job's picture, a PNG as base64; nil before the first one or if not wanted.
    let image: String?
    /// Current time in seconds since 1970.
    let now: Double

    private var all: Int { batches.reduce(0) { $0 + $1.jobs.count } }
    private var ended: Int { batches.reduce(0) { $0 + $1.ended } }

    /// Fraction of the pictures that is done, 0…1; 0 if nothing is being rendered.
    var share: Double {
        guard all > 0 else { return 0 }
        return min(1, (Double(ended) + (running?.share ?? 0)) / Double(all))
    }

    /// Estimated seconds until the last picture, from the rate of the running one; 0 if unknown.
    private var secondsLeft: Double {
        guard let running, let left = running.secondsLeft, running.share < 1 else { return 0 }
        let whole = left / (1 - running.share)
        return left + whole * Double(max(0, all - ended - 1))
    }

    var json: JSON {
        let start = batches.first?.start
        return .object([
            "progress": .number(share), "eta_relative": .number(secondsLeft),
            "state": .object([
                "skipped": .bool(false), "interrupted": .bool(false),
                "stopping_generation": .bool(false),
                "job": .string(batches.first?.kind ?? ""), "job_count": .count(all),
                "job_timestamp": .string(start.map { "\(Int($0))" } ?? "0"),
                "job_no": .count(ended),
                "sampling_step": .count(running?.step ?? 0),
                "sampling_steps": .count(running?.steps ?? 0),
            ]),
            "current_image": .optional(image), "textinfo": .null,
        ])
    }
}
