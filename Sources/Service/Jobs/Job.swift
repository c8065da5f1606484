import Engine
import Foundation
import GRDB

/// A job as stored in the database.
package struct Job: Codable, Equatable, Sendable, FetchableRecord, MutablePersistableRecord {
    package static let databaseTableName = "job"

    /// Order of arrival, from 1; nil until it is stored.
    package private(set) var number: Int64?
    /// Id in the API and name of its folder.
    package let id: String
    /// The user who submitted it.
    package let user: String
    package internal(set) var state: JobState
    /// Jobs with a higher priority go first.
    package internal(set) var priority: Int
    /// Name of its model in the catalogue.
    package let model: String
    /// Identifies what workers must have loaded: the model and the LoRAs merged into it.
    package let weights: String
    /// `JobRequest` as JSON.
    package let request: String
    package let width: Int
    package let height: Int
    /// Number of UNet evaluations.
    package let evaluations: Int
    /// The client's idempotency key for the submission; nil if there is none.
    package let key: String?
    /// Digest of the submission with that key.
    package let keyDigest: String?
    /// What to do once its render has stopped; stored, so that it survives a crash.
    package internal(set) var intent: JobRequestedChange?
    /// How many jobs of the loaded model were rendered before it when it was its turn.
    package internal(set) var passed: Int
    /// How many times its render was started.
    package internal(set) var starts: Int
    /// How many times the service ended while rendering it.
    package internal(set) var crashes: Int
    /// Seconds since 1970.
    package let created: Double
    package internal(set) var started: Double?
    package internal(set) var finished: Double?
    /// Why it failed, as one line.
    package internal(set) var error: String?
    /// Size of the picture's file.
    package internal(set) var bytes: Int?
    /// Position among its user's waiting jobs, once they have been moved; nil for the order of arrival.
    package internal(set) var position: Int64?

    /// Sets the order of arrival.
    package mutating func didInsert(_ inserted: InsertionSuccess) { number = inserted.rowID }

    /// The name of the picture in the job's folder.
    package var pictureName: String { "picture.\(format.rawValue)" }

    /// The picture's format.
    package var format: JobRequest.Format {
        let format = (try? JSON(request.utf8, place: id))?.object?["format"]?.string
        return format.flatMap(JobRequest.Format.init(rawValue:)) ?? .png
    }

    /// Creates a job that is about to be stored.
    ///
    /// - Parameters:
    ///   - draft: the checked submission
    ///   - now: seconds since 1970
    package init(_ draft: JobDraft, now: Double) {
        (number, id) = (nil, Self.newID())
        (user, state, priority) = (draft.user, .queued, draft.priority)
        (model, weights) = (draft.model, draft.weights)
        request = draft.request.json.text
        (width, height, evaluations) = (draft.width, draft.height, draft.evaluations)
        (key, keyDigest) = (draft.key, draft.key == nil ? nil : draft.digest)
        (intent, passed, starts, crashes) = (nil, 0, 0, 0)
        created = now
    }

    /// 100 random bits as lower-case letters and digits, so that nobody can guess the id of another user's job.
    private static func newID() -> String {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz")
        return String((0..<20).map { _ in alphabet[Int.random(in: 0..<32, using: &generator)] })
    }
}

/// A submission that passed all checks, with what the queue needs to know about it.
package struct JobDraft: Sendable {
    package var user: String
    package var priority = 0
    /// Name of the model in the catalogue.
    package var model: String
    /// Identifies the model with its LoRAs, like `Job.weights`.
    package var weights: String
    package var request: JobRequest
    package var width: Int
    package var height: Int
    package var steps: Int
    package var evaluations: Int
    /// The client's idempotency key for the submission.
    package var key: String?
    /// Digest of the submission as it was sent.
    package var digest: String

    package init(
        user: String,
        model: String,
        weights: String? = nil,
        request: JobRequest,
        width: Int,
        height: Int,
        steps: Int,
        evaluations: Int,
        key: String? = nil,
        digest: String = ""
    ) {
        (self.user, self.model, self.request) = (user, model, request)
        self.weights = weights ?? model
        (self.width, self.height) = (width, height)
        (self.steps, self.evaluations) = (steps, evaluations)
        (self.key, self.digest) = (key, digest)
    }
}
